"""POST /commands and GET /streams: any command by name, and what came of it."""

import uuid
from typing import Any

import pytest

from tests.gateway.memory_stack import PIPELINE, STEP, MemoryStack, activate, create

CREATE: dict[str, Any] = {
    "type": "CreatePipeline",
    "aggregate_id": "weather",
    "data": {"name": "Weather", "definition": {"steps": [STEP]}},
}
ACTIVATE = {"type": "flexcore.pipeline.ActivatePipeline", "aggregate_id": "weather"}


def test_command_is_answered_with_its_outcome(stack: MemoryStack) -> None:
    command_id = str(uuid.uuid4())

    answer = stack.client.post("/v1/commands", json=CREATE | {"command_id": command_id})

    assert answer.status_code == 200
    outcome = answer.json()
    assert outcome["command_id"] == command_id
    assert (outcome["status"], outcome["aggregate_id"]) == ("accepted", "weather")
    assert outcome["versions"] == [1]
    assert outcome["position"] == answer.headers["FlexCore-Position"]
    shape = stack.client.get("/v1/pipelines/weather").json()
    assert shape | PIPELINE == shape


def test_list_is_judged_one_by_one_and_answered_in_order(stack: MemoryStack) -> None:
    run = str(uuid.uuid4())
    execute = {
        "type": "ExecutePipeline",
        "aggregate_id": run,
        "data": {"pipeline_id": "weather", "input": {"a": 1}},
    }
    wrong: list[Any] = [{"type": "Nonsense", "aggregate_id": "x"}, {"aggregate_id": "y"}, 7]

    answer = stack.client.post("/v1/commands", json=[CREATE, *wrong, ACTIVATE, CREATE, execute])

    assert answer.status_code == 200
    outcomes = answer.json()
    found = [(o["status"], o.get("error", {}).get("code")) for o in outcomes]
    assert found == [
        ("accepted", None),
        ("refused", "command.unknown_type"),
        ("refused", "command.invalid"),
        ("refused", "command.invalid"),
        ("accepted", None),
        ("refused", "pipeline.already_exists"),
        ("accepted", None),
    ]
    assert stack.client.get(f"/v1/executions/{run}").json()["input"] == {"a": 1}


def test_refused_command_alone_is_a_problem(stack: MemoryStack) -> None:
    create(stack)

    answer = stack.client.post("/v1/commands", json=CREATE)

    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (409, "pipeline.already_exists")


@pytest.mark.parametrize(
    ("expected", "status"),
    [(1, 200), ("1", 200), ("exists", 200), ("any", 200), (0, 412), ("none", 412), ("x", 422)],
)
def test_expected_version_stands_in_the_body(
    stack: MemoryStack, expected: int | str, status: int
) -> None:
    create(stack)

    answer = stack.client.post("/v1/commands", json=ACTIVATE | {"expected_version": expected})

    assert answer.status_code == status, answer.text


def test_id_in_the_data_must_be_that_of_the_aggregate(stack: MemoryStack) -> None:
    answer = stack.client.post("/v1/commands", json=ACTIVATE | {"data": {"pipeline_id": "other"}})

    assert (answer.status_code, answer.json()["code"]) == (422, "command.wrong_key")


def test_commands_of_the_engine_are_no_doors_business(stack: MemoryStack) -> None:
    data = {"step_id": "read", "attempt": 1, "duration_s": 1.0, "output": {}}
    command = {"type": "CompleteStep", "aggregate_id": str(uuid.uuid4()), "data": data}

    answer = stack.client.post("/v1/commands", json=command)

    assert (answer.status_code, answer.json()["code"]) == (422, "command.unknown_type")


def test_too_many_commands_at_once_are_refused(stack: MemoryStack) -> None:
    answer = stack.client.post("/v1/commands", json=[ACTIVATE] * 1_001)

    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


def test_events_are_shown_as_the_log_has_them(stack: MemoryStack) -> None:
    command_id = str(uuid.uuid4())
    stack.client.post("/v1/commands", json=CREATE | {"command_id": command_id})
    activate_headers = {"Idempotency-Key": "go"}
    stack.client.post("/v1/pipelines/weather/activate", headers=activate_headers)

    body = stack.client.get("/v1/streams/pipeline/weather/events").json()

    created, activated = body["items"]
    assert (created["type"], activated["type"]) == ("PipelineCreated", "PipelineActivated")
    assert [event["version"] for event in body["items"]] == [1, 2]
    assert (created["command_id"], created["causation_id"]) == (command_id, command_id)
    assert created["data"]["definition"] == {"steps": [STEP]}
    assert created["data"]["at"] == created["time"] == "2026-03-01T12:00:00Z"
    assert (created["tenant_id"], created["actor_id"]) == ("default", "anonymous")
    assert body["total"] == {"count": 2, "capped": False}
    assert body["next_cursor"] is None


def test_long_stream_is_read_in_pieces(stack: MemoryStack) -> None:
    activate(stack)
    url = "/v1/streams/pipeline/weather/events"

    first = stack.client.get(url, params={"limit": 1}).json()
    rest = stack.client.get(url, params={"cursor": first["next_cursor"]}).json()
    beyond = stack.client.get(url, params={"from_version": 9}).json()

    assert [e["version"] for e in first["items"] + rest["items"]] == [1, 2]
    assert rest["next_cursor"] is None
    assert (beyond["items"], beyond["total"]["count"]) == ([], 2)


def test_stream_is_read_up_to_a_version(stack: MemoryStack) -> None:
    activate(stack)
    url = "/v1/streams/pipeline/weather/events"

    body = stack.client.get(url, params={"to_version": 1}).json()
    piece = stack.client.get(url, params={"to_version": 2, "limit": 1}).json()

    assert [e["version"] for e in body["items"]] == [1]
    assert (body["next_cursor"], body["total"]["count"]) == (None, 2)
    assert piece["next_cursor"] == "2"


def test_stream_is_read_as_it_stood_at_a_time(stack: MemoryStack) -> None:
    create(stack)
    stack.later(60)
    stack.client.post("/v1/pipelines/weather/activate")
    url = "/v1/streams/pipeline/weather/events"

    before = stack.client.get(url, params={"at": "2026-03-01T12:59:59.9+01:00"})
    then = stack.client.get(url, params={"at": "2026-03-01T12:00:00Z", "limit": 1})
    now = stack.client.get(url, params={"at": "2026-03-01T12:01:00Z"})

    assert (before.status_code, before.json()["items"]) == (200, [])
    assert [e["version"] for e in then.json()["items"]] == [1]
    assert (then.json()["next_cursor"], then.headers["ETag"]) == (None, '"1"')
    assert [e["version"] for e in now.json()["items"]] == [1, 2]


@pytest.mark.parametrize("path", ["pipeline/absent", "nonsense/weather"])
def test_unknown_stream_is_not_found(stack: MemoryStack, path: str) -> None:
    answer = stack.client.get(f"/v1/streams/{path}/events")

    assert (answer.status_code, answer.json()["code"]) == (404, "aggregate.not_found")


@pytest.mark.parametrize(
    "query",
    [
        "from_version=0",
        "limit=0",
        "limit=1001",
        "cursor=x",
        f"from_version={2**70}",
        "to_version=0",
        f"to_version={2**70}",
        "at=yesterday",
        "at=2026-03-01T12:00:00",
    ],
)
def test_piece_that_makes_no_sense_is_refused(stack: MemoryStack, query: str) -> None:
    create(stack)

    assert stack.client.get(f"/v1/streams/pipeline/weather/events?{query}").status_code == 422
