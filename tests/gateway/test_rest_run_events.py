"""A run's events over REST: as a list, and as they come."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from domain.errors import Limited, Unavailable
from gateway.services import streams
from gateway.services.asked import Caller
from gateway.services.streams import StreamService
from tests.gateway.memory_stack import MemoryStack, activate

FOLLOW = {"Accept": "text/event-stream"}


@pytest.fixture
def run(stack: MemoryStack) -> str:
    """The path of a run that has ended with its third event."""
    activate(stack)
    started = stack.client.post("/v1/pipelines/weather/executions")
    place: str = started.headers["Location"]
    stack.client.post(f"{place}/cancel", json={"reason": "enough"})
    return place


def sent(text: str) -> list[dict[str, Any]]:
    """What an EventSource makes of a stream."""
    found = []
    for block in filter(None, text.split("\n\n")):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        found.append({**lines, "data": json.loads(lines["data"])})
    return found


def test_the_events_of_a_run_are_those_of_its_stream(stack: MemoryStack, run: str) -> None:
    answer = stack.client.get(f"{run}/events?limit=2")

    assert [item["version"] for item in answer.json()["items"]] == [1, 2]
    assert answer.json()["next_cursor"] == "3"
    stream = f"/v1/streams/execution/{run.rpartition('/')[2]}/events?limit=2"
    assert answer.json() == stack.client.get(stream).json()


def test_a_stream_ends_with_the_run_and_each_event_has_its_version_as_id(
    stack: MemoryStack, run: str
) -> None:
    answer = stack.client.get(f"{run}/events", headers=FOLLOW)

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    events = sent(answer.text)
    assert [(event["id"], event["event"]) for event in events] == [
        ("1", "ExecutionStarted"),
        ("2", "PipelineStepScheduled"),
        ("3", "ExecutionCancelled"),
    ]
    assert events[2]["data"]["data"]["error_message"] == "enough"


def test_whoever_comes_again_gets_what_is_behind_his_last_event(
    stack: MemoryStack, run: str
) -> None:
    answer = stack.client.get(f"{run}/events", headers={**FOLLOW, "Last-Event-ID": "2"})

    assert [event["id"] for event in sent(answer.text)] == ["3"]


def test_whoever_has_all_of_an_ended_run_need_not_come_again(stack: MemoryStack, run: str) -> None:
    answer = stack.client.get(f"{run}/events", headers={**FOLLOW, "Last-Event-ID": "3"})

    assert (answer.status_code, answer.text) == (204, "")


@pytest.mark.parametrize(("last", "status"), [("x", 422), ("-1", 422), ("9" * 30, 422)])
def test_an_event_id_that_is_none_is_refused(
    stack: MemoryStack, run: str, last: str, status: int
) -> None:
    answer = stack.client.get(f"{run}/events", headers={**FOLLOW, "Last-Event-ID": last})

    assert (answer.status_code, answer.json()["code"]) == (status, "query.invalid")


def test_what_never_ran_has_no_stream(stack: MemoryStack) -> None:
    answer = stack.client.get(f"/v1/executions/{uuid.uuid4()}/events", headers=FOLLOW)

    assert (answer.status_code, answer.json()["code"]) == (404, "aggregate.not_found")


class Follower:
    """Follows a run that goes on; something happens whenever it waits."""

    def __init__(self, stack: MemoryStack, happening: list[Any]) -> None:
        activate(stack)
        started = stack.client.post("/v1/pipelines/weather/executions")
        self.run_id = started.headers["Location"].rpartition("/")[2]
        self.stack = stack
        self.happening = happening
        self.waits: list[float] = []
        self.service = StreamService(stack.store, stack.codec, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if len(self.waits) <= len(self.happening):
            self.happening[len(self.waits) - 1](self)
        else:
            cancel = f"/v1/executions/{self.run_id}/cancel"
            await asyncio.to_thread(self.stack.client.post, cancel)

    async def seen(self) -> list[list[int]]:
        pieces = self.service.follow(Caller(), "execution", self.run_id, 0)
        return [[item["version"] for item in piece.items] async for piece in pieces]


def test_events_are_told_as_they_come_and_a_quiet_run_is_looked_at_less_often(
    stack: MemoryStack,
) -> None:
    follower = Follower(stack, [lambda _: None] * 8)

    assert asyncio.run(follower.seen()) == [[1, 2], *[[]] * 8, [3]]
    assert follower.waits[0] == streams.LOOK_FIRST_S
    assert follower.waits[-1] == streams.LOOK_LAST_S


def test_a_store_that_is_away_for_a_moment_is_waited_for(
    stack: MemoryStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(follower: Follower) -> None:
        async def read(*_: object, **__: object) -> None:
            monkeypatch.undo()
            raise Unavailable("owner.unavailable", "the owner is away")

        monkeypatch.setattr(follower.stack.store, "read", read)

    follower = Follower(stack, [away])

    assert asyncio.run(follower.seen()) == [[1, 2], [], [3]]


def test_no_more_follow_than_can_be_served(
    stack: MemoryStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_FOLLOWERS", 1)
    follower = Follower(stack, [])

    async def both() -> None:
        first = follower.service.follow(Caller(), "execution", follower.run_id, 0)
        await anext(first)
        with pytest.raises(Limited):
            await anext(follower.service.follow(Caller(), "execution", follower.run_id, 0))
        await first.aclose()
        await anext(follower.service.follow(Caller(), "execution", follower.run_id, 0))

    asyncio.run(both())
