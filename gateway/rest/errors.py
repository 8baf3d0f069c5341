"""Whatever goes wrong leaves as `application/problem+json`, the framework's own errors included."""

import logging
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from domain.errors import FlexCoreError
from gateway.problems import problem_of
from gateway.rest.registry_form import RegistryError
from gateway.rest.responses import REGISTRY, error_response, problem_response
from gateway.rest.tracing import trace_id_of
from gateway.strict import invalid

log = logging.getLogger("flexcore.api")

_FRAMEWORK = {
    400: (422, "request.invalid", "Invalid"),
    404: (404, "request.no_such_path", "Not found"),
    405: (405, "request.method_not_allowed", "Method not allowed"),
}
"""What the framework raises itself → status, code, title; an unreadable body is as bad as any."""


_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of `app` a problem."""

    @app.exception_handler(FlexCoreError)
    async def ours(request: Request, error: FlexCoreError) -> Response:
        return error_response(error, request.url.path, trace_id_of(request))

    @app.exception_handler(RequestValidationError)
    async def body_or_parameter(request: Request, error: RequestValidationError) -> Response:
        found = [{**one, "loc": _place(one)} for one in error.errors()]
        return error_response(
            invalid("request.invalid", found), request.url.path, trace_id_of(request)
        )

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # The framework names the methods of the first route alone that has the path.
            headers["Allow"] = ", ".join(_allowed(request))
        status, code, title = _FRAMEWORK.get(
            error.status_code, (error.status_code, "request.invalid", "Invalid")
        )
        if request.url.path.startswith(REGISTRY):
            # Its clients know its own form alone.
            answer = RegistryError(status, f"HTTP {status}: {error.detail}").response()
            answer.headers.update(headers)
            return answer
        return problem_response(
            problem_of(
                code=code,
                status=status,
                title=title,
                detail=f"{request.method} {request.url.path}: {error.detail}; see /docs",
                instance=request.url.path,
                trace_id=trace_id_of(request),
            ),
            headers,
        )

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        trace_id = trace_id_of(request)
        log.error("request_failed path=%s trace_id=%s what=%r", request.url.path, trace_id, error)
        return problem_response(
            problem_of(
                code="internal.error",
                status=500,
                title="Internal error",
                detail="a fault of the service, logged under this trace id; please report it",
                instance=request.url.path,
                trace_id=trace_id,
            )
        )


def _allowed(request: Request) -> Iterator[str]:
    """The methods of the path."""
    for method in _METHODS:
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            yield method


def _place(found: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Inside a body, the body's own path; of a parameter or header, where it stands."""
    parts: tuple[str | int, ...] = tuple(found["loc"])
    # Where the body is no JSON, a place is a number of characters, which no pointer can say.
    inside = len(parts) > 1 and parts[0] == "body" and found["type"] != "json_invalid"
    return parts[1:] if inside else parts[:1] if found["type"] == "json_invalid" else parts
