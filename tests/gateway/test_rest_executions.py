"""The REST door's promises about executions."""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.services.asked import Asked, Caller
from gateway.services.commands import CommandService
from gateway.services.executions import ExecutionService, Start
from streams.query_bus import QueryBus
from tests.gateway.memory_stack import MemoryStack, activate, create

START = "/v1/pipelines/weather/executions"


def test_started_run_is_accepted_with_its_place(stack: MemoryStack) -> None:
    activate(stack)

    answer = stack.client.post(START, json={"input": {"month": "2012-01"}})

    assert answer.status_code == 202
    shape = answer.json()
    assert answer.headers["Location"] == f"/v1/executions/{shape['execution_id']}"
    assert (shape["status"], shape["input"]) == ("running", {"month": "2012-01"})
    assert [(s["step_id"], s["status"]) for s in shape["steps"]] == [("read", "scheduled")]
    assert stack.client.get(answer.headers["Location"]).json() == shape


def test_run_without_a_body_has_an_empty_input(stack: MemoryStack) -> None:
    activate(stack)

    assert stack.client.post(START).json()["input"] == {}


def test_repeated_start_is_the_same_run(stack: MemoryStack) -> None:
    activate(stack)
    headers = {"Idempotency-Key": "nightly 2026-03-01"}

    first = stack.client.post(START, headers=headers)
    again = stack.client.post(START, headers=headers)

    assert again.headers["Location"] == first.headers["Location"]
    assert stack.client.get("/v1/executions").json()["total"]["count"] == 1


def test_run_may_bring_its_own_id(stack: MemoryStack) -> None:
    activate(stack)
    execution_id = str(uuid.uuid4())

    answer = stack.client.post(START, json={"execution_id": execution_id})

    assert answer.json()["execution_id"] == execution_id


def test_run_whose_id_is_no_uuid_is_refused(stack: MemoryStack) -> None:
    activate(stack)

    answer = stack.client.post(START, json={"execution_id": "first"})

    assert (answer.status_code, answer.json()["code"]) == (422, "execution.invalid_id")


def test_draft_cannot_be_executed(stack: MemoryStack) -> None:
    create(stack)

    answer = stack.client.post(START)

    assert (answer.status_code, answer.json()["code"]) == (409, "pipeline.not_active")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"priority": 1}, "execution.unsupported"),
        ({"deadline_s": 0}, "execution.invalid_deadline"),
    ],
)
def test_options_that_cannot_be_kept_are_refused(
    stack: MemoryStack, options: dict[str, Any], code: str
) -> None:
    activate(stack)

    answer = stack.client.post(START, json={"options": options})

    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_cancelled_run_shows_why_and_what_was_left(stack: MemoryStack) -> None:
    activate(stack)
    started = stack.client.post(START, json={"options": {"deadline_s": 60}})

    place = started.headers["Location"]
    answer = stack.client.post(f"{place}/cancel", json={"reason": "wrong input"})
    again = stack.client.post(f"{place}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["error"]["message"] == "wrong input"
    assert [step["status"] for step in answer.json()["steps"]] == ["cancelled"]
    assert (again.status_code, again.json()) == (200, answer.json())


def test_what_never_ran_cannot_be_cancelled(stack: MemoryStack) -> None:
    answer = stack.client.post(f"/v1/executions/{uuid.uuid4()}/cancel")

    assert (answer.status_code, answer.json()["code"]) == (404, "execution.not_found")


def test_run_that_does_not_end_in_time_is_still_under_way(stack: MemoryStack) -> None:
    activate(stack)

    answer = stack.client.post(START, headers={"Prefer": "wait=0"})

    assert (answer.status_code, answer.json()["status"]) == (202, "running")


def test_unknown_run_is_not_found(stack: MemoryStack) -> None:
    answer = stack.client.get(f"/v1/executions/{uuid.uuid4()}")

    assert answer.status_code == 404


@dataclass
class EndingRun:
    """A read model in which a run ends after a while of its own time, which sleeping passes."""

    ends_after_s: float
    now: float = 0.0
    looks: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def answer(self, _: object) -> dict[str, Any]:
        self.looks.append(self.now)
        status = "succeeded" if self.now >= self.ends_after_s else "running"
        return {"status": status, "version": 5}


def start_and_wait(stack: MemoryStack, run: EndingRun, wait_s: float) -> dict[str, Any] | None:
    """The shape that a door gets which waits for the end."""
    from gateway.services.read_models import ReadModelAt
    from projections.executions import ExecutionById

    activate(stack)
    queries = QueryBus({ExecutionById: run.answer, ReadModelAt: run.answer})
    service = ExecutionService(
        CommandService(stack.bus), queries, sleep=run.sleep, clock=lambda: run.now
    )
    asked = Asked(caller=Caller(), command_id=str(uuid.uuid4()), wait_s=wait_s)
    return asyncio.run(service.start(Start(pipeline_id="weather"), asked)).shape


def test_end_is_seen_within_a_fifth_of_the_time_the_run_took(stack: MemoryStack) -> None:
    run = EndingRun(ends_after_s=1.0)

    shape = start_and_wait(stack, run, wait_s=30)

    assert shape is not None
    assert shape["status"] == "succeeded"
    assert 1.0 <= run.now <= 1.2


def test_waiting_ends_when_the_client_no_longer_waits(stack: MemoryStack) -> None:
    run = EndingRun(ends_after_s=60.0)

    shape = start_and_wait(stack, run, wait_s=2.0)

    assert shape is not None
    assert shape["status"] == "running"
    assert run.now == pytest.approx(2.0)
