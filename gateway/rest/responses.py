"""Answers as bytes: public shapes go out as they are, without a second look by a model."""

from typing import Any

from starlette.responses import Response

from domain.errors import FlexCoreError
from gateway.json_shapes import outcome_json
from gateway.problems import MEDIA_TYPE, problem, retry_after
from gateway.rest.headers import etag, write_headers
from gateway.rest.registry_form import RegistryError
from gateway.services.read_models import Written
from projections.page import Page
from projections.values import dumps

REGISTRY = "/registry/"


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A public shape as JSON."""
    return Response(dumps(value), status, headers, "application/json")


def problem_response(found: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """A problem, with its status."""
    return Response(dumps(found), found["status"], headers, MEDIA_TYPE)


def error_response(error: FlexCoreError, instance: str, trace_id: str) -> Response:
    """An error of ours as its family demands, under /registry in the form that its clients know."""
    if instance.startswith(REGISTRY):
        answer = RegistryError(error.http_status, error.message).response()
        answer.headers.update(retry_after(error))
        return answer
    return problem_response(
        problem(error, instance=instance, trace_id=trace_id), retry_after(error)
    )


def written_response(written: Written, status: int, *, location: str | None = None) -> Response:
    """The shape a write led to, or its outcome where the read model is late."""
    headers = write_headers(written) | ({} if location is None else {"Location": location})
    shape = outcome_json(written.answer) if written.shape is None else written.shape
    return json_response(shape, status, headers)


def shape_response(shape: dict[str, Any], if_none_match: str | None) -> Response:
    """One thing with its version as `ETag`; 304 where the client has that version."""
    tag = etag(shape["version"])
    known = {one.strip().removeprefix("W/") for one in (if_none_match or "").split(",")}
    if tag in known:
        return Response(status_code=304, headers={"ETag": tag})
    return json_response(shape, headers={"ETag": tag})


def page_response(page: Page) -> Response:
    """A list: `items`, `next_cursor`, `total`."""
    return json_response(page)
