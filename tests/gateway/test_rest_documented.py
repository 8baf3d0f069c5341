"""What `./flexcore conformance` found once, and that the document tells every answer."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.rest.app import Deps, create_app
from gateway.rest.registry_form import MEDIA_TYPE
from tests.gateway.memory_stack import MemoryStack

PROBLEM = "application/problem+json"
JSON = {"Content-Type": "application/json"}
EVERYWHERE = {"408", "413", "422", "429", "503"}


@pytest.fixture(scope="module")
def whole() -> TestClient:
    """The application with all its routes, over nothing: no handler is reached here."""
    parts = ("commands", "queries", "events", "codec", "registry", "tables")
    anything: dict[str, Any] = dict.fromkeys(parts, object())
    return TestClient(create_app(Deps(**anything)), raise_server_exceptions=False)


def operations(client: TestClient) -> Iterator[tuple[str, dict[str, Any]]]:
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_each_status_of_each_route_is_named_with_its_form(whole: TestClient) -> None:
    for name, operation in operations(whole):
        answers = operation["responses"]
        assert "default" not in answers, name
        assert answers.keys() >= EVERYWHERE, name
        form = MEDIA_TYPE if " /registry/" in name else PROBLEM
        told = {s: set(one.get("content", ())) for s, one in answers.items() if s >= "400"}
        if name == "GET /readyz":
            assert told.pop("503") == {"application/json"}
        assert set().union(*told.values()) == {form}, name


def test_no_fault_of_ours_is_announced(whole: TestClient) -> None:
    for name, operation in operations(whole):
        assert ("500" in operation["responses"]) == (" /registry/" in name), name


def test_each_part_of_a_path_is_a_parameter(whole: TestClient) -> None:
    for name, operation in operations(whole):
        told = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"]
        assert all(f"{{{one}}}" in name for one in told), name
        assert name.count("{") == len(told), name


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/pipelines", "GET, POST"),
        ("/v1/pipelines/weather", "DELETE, GET, PUT"),
        ("/registry/config", "DELETE, GET, PUT"),
        ("/livez", "GET"),
    ],
)
def test_a_refused_method_is_told_all_that_there_are(
    whole: TestClient, path: str, allowed: str
) -> None:
    answer = whole.request("OPTIONS", path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b" " * (1024 * 1024 + 1), 413), (b'{"a": 1, "a": 2}', 422), (b"\xff", 422)],
)
def test_under_registry_every_error_has_the_form_of_its_clients(
    whole: TestClient, body: bytes, status: int
) -> None:
    answer = whole.put("/registry/config", content=body, headers=JSON)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, MEDIA_TYPE)
    assert answer.json().keys() == {"error_code", "message"}
    assert answer.json()["error_code"] == status


@pytest.mark.parametrize(
    "query", ["executions?since=0.5", "events?from_timestamp=1772323200", "events?from_timestamp=0"]
)
def test_a_number_is_no_time(stack: MemoryStack, query: str) -> None:
    """Taken for seconds or milliseconds, by its size."""
    answer = stack.client.get(f"/v1/{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
