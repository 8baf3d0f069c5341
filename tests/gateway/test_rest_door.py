"""What holds for every route: problems, limits, traces, health, documents."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.memory_stack import PIPELINE, MemoryStack, create

JSON = {"Content-Type": "application/json"}
BLOB = {"rows": [{"$blob": "sha256:" + "0" * 64, "bytes": 1}]}
FIELDS = {"type", "title", "status", "detail", "instance", "code", "trace_id", "errors"}


def bad_requests() -> Iterator[tuple[str, str, Any, int]]:
    yield "GET", "/nowhere", None, 404
    yield "DELETE", "/v1/pipelines", None, 405
    yield "POST", "/v1/pipelines", b"{", 422
    yield "POST", "/v1/pipelines", b"[" * 100_000, 422
    yield "POST", "/v1/pipelines", b"\xff\xfe", 422
    yield "POST", "/v1/pipelines", b"", 422
    yield "POST", "/v1/pipelines", b'{"pipeline_id": 1}', 422
    yield "POST", "/v1/pipelines", b'{"a": NaN}', 422
    yield "POST", "/v1/commands", b"null", 422
    yield "POST", "/v1/pipelines", b" " * (1024 * 1024 + 1), 413
    yield "GET", "/v1/executions?since=yesterday", None, 422
    yield "GET", "/v1/executions?since=2026-03-01T00:00:00", None, 422
    yield "GET", "/v1/pipelines/absent", None, 404


@pytest.mark.parametrize(("method", "path", "body", "status"), list(bad_requests()))
def test_every_error_is_a_problem(
    stack: MemoryStack, method: str, path: str, body: bytes | None, status: int
) -> None:
    answer = stack.client.request(method, path, content=body, headers=JSON)

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    found = answer.json()
    assert set(found) >= FIELDS
    assert (found["status"], found["instance"]) == (status, path.partition("?")[0])
    assert re.fullmatch(r"[0-9a-f]{32}", found["trace_id"])


def test_fault_of_ours_is_a_problem_that_tells_nothing_of_the_inside(stack: MemoryStack) -> None:
    async def broken(_: object) -> None:
        raise RuntimeError("secret")

    stack.reads._store.read = broken  # type: ignore[assignment,method-assign]
    answer = stack.client.get("/v1/streams/pipeline/weather/events")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal.error")
    assert "secret" not in answer.text


def test_wrong_fields_are_named_by_pointers(stack: MemoryStack) -> None:
    steps = [{"id": "a", "uses": "x.y", "retry": {"attempts": "3"}, "nedds": []}]

    answer = stack.client.post("/v1/pipelines", json=PIPELINE | {"steps": steps})

    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert pointers == {"/steps/0/retry/attempts", "/steps/0/nedds"}


@pytest.mark.parametrize("path", ["/v1/pipelines", "/v1/commands", "/v1/pipelines/p/executions"])
@pytest.mark.parametrize(
    ("value", "what"),
    [
        ('"\\ud800"', "half of a surrogate pair"),
        ("Infinity", "Infinity is no JSON"),
        ("NaN", "NaN is no JSON"),
        ("1e999", "1e999 is out of range"),
        (str(2**64), "is over 64 bits"),
        ('{"b": 1, "c": 2, "b": 3}', "the key 'b' stands twice"),
        ("[" * 64 + "]" * 64, "nested deeper than 64 levels"),
        ("[" * 10_000 + "]" * 10_000, "nested deeper than 64 levels"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "nested deeper than 64 levels"),
        (json.dumps({f"k{n}": 1 for n in range(10_000)}), "over 10000 keys"),
    ],
)
def test_json_that_readers_would_take_differently_is_refused_at_every_door(
    stack: MemoryStack, path: str, value: str, what: str
) -> None:
    body = f'{{"a": {value}}}'

    answer = stack.client.post(path, content=body, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert what in answer.json()["detail"]


def test_no_second_media_type_hides_json_from_the_rules(stack: MemoryStack) -> None:
    headers = [("Content-Type", "application/json"), ("Content-Type", "text/plain")]

    answer = stack.client.post("/v1/pipelines", content='{"a": 1, "a": 2}', headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert "stands twice" in answer.json()["detail"]


def test_of_a_list_of_commands_each_may_have_ten_thousand_keys(stack: MemoryStack) -> None:
    data = {"pipeline_id": "weather", "input": {f"k{n}": 1 for n in range(6_000)}}
    run = {"type": "ExecutePipeline", "aggregate_id": "x", "data": data}

    answer = stack.client.post("/v1/commands", json=[run, run])

    assert [outcome["error"]["code"] for outcome in answer.json()] == ["execution.invalid_id"] * 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/pipelines", PIPELINE | {"steps": [{"id": "a", "uses": "x.y", "with": BLOB}]}),
        ("/v1/pipelines/weather/executions", {"input": BLOB}),
        (
            "/v1/commands",
            {
                "type": "CreatePipeline",
                "aggregate_id": "p",
                "data": {
                    "name": "P",
                    "definition": {"steps": [{"id": "a", "uses": "x.y", "with": BLOB}]},
                },
            },
        ),
        (
            "/v1/commands",
            {
                "type": "ExecutePipeline",
                "aggregate_id": "0190c5cf-0000-7000-8000-000000000000",
                "data": {"pipeline_id": "weather", "input": BLOB},
            },
        ),
    ],
)
def test_a_blob_reference_of_a_client_is_refused_at_every_door(
    stack: MemoryStack, path: str, body: dict[str, Any]
) -> None:
    answer = stack.client.post(path, json=body)

    assert answer.status_code == 422
    assert "$blob" in answer.json()["detail"]


def test_body_is_counted_whatever_its_headers_say(stack: MemoryStack) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(300):
            yield b" " * 4_096

    answer = stack.client.post("/v1/pipelines", content=chunks(), headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (413, "request.too_large")


def test_trace_of_the_client_is_continued(stack: MemoryStack) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}

    assert stack.client.get("/nowhere", headers=headers).json()["trace_id"] == trace
    assert stack.client.get("/nowhere", headers={"traceparent": "x"}).json()["trace_id"] != trace


def test_ready_while_kafka_is_there_and_degraded_without_the_database(stack: MemoryStack) -> None:
    ok = stack.client.get("/readyz?verbose")
    stack.reads.away = True
    degraded = stack.client.get("/readyz?verbose")
    stack.broker_away = True
    away = stack.client.get("/readyz")

    assert ok.json() == {"status": "ok", "checks": {"kafka": "ok", "database": "ok"}}
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
    assert (away.status_code, away.json()) == (503, {"status": "unavailable"})
    assert [stack.client.get(path).status_code for path in ("/livez", "/startupz")] == [200, 200]


def test_requests_are_counted_by_route_and_never_by_path(stack: MemoryStack) -> None:
    create(stack, "counted-pipeline")
    stack.client.get("/v1/pipelines/counted-pipeline")
    stack.client.get("/counted-nowhere")
    stack.client.request("COUNTED", "/v1/pipelines")

    metrics = stack.client.get("/metrics").text

    assert 'route="/v1/pipelines/{pipeline_id}",status="200"' in metrics
    assert 'route="unknown",status="404"' in metrics
    assert "counted" not in metrics.lower()


def test_documents_need_no_network(stack: MemoryStack) -> None:
    page = stack.client.get("/docs")

    assert page.status_code == 200
    assert "//" not in re.sub(r"<!--.*?-->", "", page.text)
    for url in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        asset = stack.client.get(url)
        assert (asset.status_code, len(asset.content) > 100) == (200, True), url
    assert stack.client.get("/docs/..%2f__init__.py").status_code == 404


def test_openapi_names_every_route_and_the_shape_of_problems(stack: MemoryStack) -> None:
    document = stack.client.get("/openapi.json").json()

    assert document["openapi"].startswith("3.1")
    assert {
        "/v1/pipelines",
        "/v1/pipelines/{pipeline_id}",
        "/v1/pipelines/{pipeline_id}/activate",
        "/v1/pipelines/{pipeline_id}/executions",
        "/v1/executions",
        "/v1/executions/{execution_id}",
        "/v1/commands",
        "/v1/streams/{context}/{aggregate_id}/events",
    } <= set(document["paths"])
    responses = document["paths"]["/v1/pipelines"]["post"]["responses"]
    assert set(responses["422"]["content"]) == {"application/problem+json"}
    assert set(responses["201"]["content"]) == {"application/json"}
