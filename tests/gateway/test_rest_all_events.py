"""The events of all aggregates over REST, page by page."""

from datetime import timedelta
from typing import Any

import pytest

from gateway.services import streams
from gateway.services.asked import Caller
from tests.gateway.memory_stack import MemoryStack, activate, create

EVENTS = "/v1/events"


def page(stack: MemoryStack, **query: Any) -> dict[str, Any]:
    answer = stack.client.get(EVENTS, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def named(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["aggregate_id"], item["type"]) for item in found["items"]]


def test_pages_hold_every_event_once_in_the_order_of_time(stack: MemoryStack) -> None:
    for name in ("a", "b", "c"):
        activate(stack, name)
        stack.later(1)
    seen, cursor = [], None
    while True:
        found = page(stack, limit=4, **({} if cursor is None else {"cursor": cursor}))
        seen += named(found)
        cursor = found["next_cursor"]
        if found["at_end"]:
            break

    kinds = ("PipelineCreated", "PipelineActivated")
    assert seen == [(name, kind) for name in ("a", "b", "c") for kind in kinds]


def test_a_client_goes_on_with_what_came_meanwhile(stack: MemoryStack) -> None:
    create(stack, "a")
    first = page(stack)
    create(stack, "b")

    assert first["at_end"]
    assert named(page(stack, cursor=first["next_cursor"])) == [("b", "PipelineCreated")]


def test_events_are_chosen_by_time_context_and_type(stack: MemoryStack) -> None:
    activate(stack, "a")
    stack.later(60)
    activate(stack, "b")
    stack.client.post("/v1/pipelines/b/executions")
    minute = (stack.now - timedelta(seconds=1)).isoformat()

    activated = page(stack, types="PipelineActivated, flexcore.pipeline.PipelineRevised")
    assert named(activated) == [("a", "PipelineActivated"), ("b", "PipelineActivated")]
    assert [item["type"] for item in page(stack, context="execution")["items"]] == [
        "ExecutionStarted",
        "PipelineStepScheduled",
    ]
    assert {name for name, _ in named(page(stack, from_timestamp=minute, context="pipeline"))} == {
        "b"
    }


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"cursor": "?"}, 422, "query.invalid"),
        ({"cursor": "Zm9v"}, 422, "query.invalid"),
        ({"types": "Nothing"}, 422, "query.invalid"),
        ({"context": "nothing"}, 404, "aggregate.not_found"),
        ({"limit": 0}, 422, "query.invalid"),
        ({"limit": 100_000}, 422, "query.invalid"),
        ({"from_timestamp": "yesterday"}, 422, "request.invalid"),
    ],
)
def test_a_wrong_query_is_refused(
    stack: MemoryStack, query: dict[str, Any], status: int, code: str
) -> None:
    answer = stack.client.get(EVENTS, params=query)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_no_more_read_than_can_be_served(
    stack: MemoryStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_READERS", 0)

    answer = stack.client.get(EVENTS)

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")


@pytest.mark.parametrize(
    ("tenant", "aggregate_id", "owns"),
    [
        ("default", "p", True),
        ("default", "acme~p", False),
        ("acme", "acme~p", True),
        ("acme", "p", False),
        ("acme", "acmeb~p", False),
    ],
)
def test_a_caller_sees_the_events_of_his_tenant_alone(
    tenant: str, aggregate_id: str, owns: bool
) -> None:
    assert Caller(tenant).owns(aggregate_id) == owns
