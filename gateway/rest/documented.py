"""What OpenAPI says of errors: every status that a route can answer with, and the shape it has there.

each route  ── 408 413 422 429 503        writes ── 403 404 409 412 504        reads ── 404 504
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from gateway.problems import MEDIA_TYPE
from gateway.rest.registry_form import RegistryProblem
from gateway.rest.shapes import Problem

Responses = dict[int | str, dict[str, Any]]


def _problems(*statuses: int, model: type = Problem) -> Responses:
    return {
        status: {"model": model, "description": HTTPStatus(status).phrase} for status in statuses
    }


EACH = _problems(408, 413, 422, 429, 503)
"""A body that is late, too large or no strict JSON; too many requests; something away. A 500 is a fault."""
WRITE = _problems(403, 404, 409, 412, 504)
READ = _problems(404, 504)
LIST = _problems(504)
LOG = _problems(404)
REGISTRY = _problems(404, 408, 413, 422, 429, 500, 503, model=RegistryProblem)
"""500 as Confluent's has it, where what it stands on is away."""
KNOWN: Responses = {304: {"description": "The client has this version"}}


def as_problems(schema: dict[str, Any]) -> dict[str, Any]:
    """The document with the media type that problems really have."""
    ours = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    for operations in schema["paths"].values():
        for operation in operations.values():
            for answer in operation["responses"].values():
                content: Mapping[str, Any] = answer.get("content", {})
                if [one.get("schema") for one in content.values()] == [ours]:
                    answer["content"] = {MEDIA_TYPE: {"schema": ours}}
    return schema
