"""What would not fit its topic is refused before it is sent, and in words."""

import uuid
from dataclasses import replace
from typing import Any

import pytest

from domain.definition import MAX_STEPS, Definition, problems
from domain.errors import TooLarge
from domain.pipeline.pipeline import ActivatePipeline, PipelineActivated
from schemas import catalogue
from schemas.catalogue import Record
from streams.command_bus import MAX_COMMAND_BYTES, CommandRequest, content_of, headers_of
from streams.memory_command_bus import MemoryCommandBus
from streams.memory_event_store import MemoryEventStore
from streams.new_events import MAX_EVENT_BYTES, Home, Source, new_events
from streams.records import header_map
from streams.topics import MIB, Topics
from streams.verdicts import Decided, Rejected
from tests.streams.kafka_model import START
from tests.streams.scripts import CODEC, JUDGE, STEP, World, create, pipeline_at, record

P = pipeline_at(0)
SETTINGS = {topic.name: topic.settings for topic in Topics().table()}


@pytest.mark.parametrize("one", catalogue.records().values(), ids=catalogue.records())
def test_readers_take_what_the_topic_takes(one: Record) -> None:
    settings = SETTINGS[f"flexcore.{one.topic}"]
    assert one.max_bytes == int(settings.get("max.message.bytes", MIB))


# ── commands ─────────────────────────────────────────────────────────────────────────────


def asked(reason: str, **changes: Any) -> CommandRequest:
    command = ActivatePipeline(P, reason)
    ids = {"command_id": str(uuid.uuid4()), "correlation_id": "c"}
    return CommandRequest(
        **{"context": "pipeline", "aggregate_id": P, "command": command, **ids, **changes}
    )


def size_of(request: CommandRequest) -> int:
    content = content_of(request, CODEC)
    headers = headers_of(request, content, START)
    return len(content.value) + sum(len(name) + len(value) for name, value in headers)


def test_a_command_of_the_largest_size_has_headers_and_a_larger_one_has_none() -> None:
    room = MAX_COMMAND_BYTES - size_of(asked("x" * 1_000_000))
    fits = asked("x" * (1_000_000 + room))
    assert size_of(fits) == MAX_COMMAND_BYTES
    with pytest.raises(TooLarge, match=f"at most {MAX_COMMAND_BYTES} fit") as refused:
        size_of(replace(fits, correlation_id="cc"))
    assert refused.value.code == "command.too_large"


async def sent(request: CommandRequest) -> MemoryEventStore:
    store = MemoryEventStore(CODEC, now=lambda: START)
    await MemoryCommandBus(store, CODEC, now=lambda: START).send(request, 1.0)
    return store


def test_no_bus_sends_a_command_over_the_limit() -> None:
    with pytest.raises(TooLarge):
        sent(asked("x" * MIB)).send(None)


def test_a_command_that_came_compressed_and_is_larger_is_refused_unread() -> None:
    verdict = JUDGE.judge(record(create(P, "x" * MIB)), World(), START, True)
    assert isinstance(verdict, Rejected)
    assert verdict.answer is not None
    assert verdict.answer.error_code == "command.unreadable"
    assert "at most 1048576 are read" in verdict.answer.error_message
    assert verdict.dead.startswith("command.unreadable: ")


# ── events ───────────────────────────────────────────────────────────────────────────────


def activated(reason_bytes: int) -> list[Any]:
    event = PipelineActivated(P, "me", START, "x" * reason_bytes)
    source = Source(uuid.UUID(int=1), "h" * 64, b"flexcore/worker", "c" * 255, "c" * 255, "t" * 255)
    return new_events(Home("pipeline", P, 0), 0, [event], source, START, CODEC)


def test_an_event_over_the_limit_is_not_made() -> None:
    value = len(activated(0)[0].value)
    (largest,) = activated(MAX_EVENT_BYTES - value - 3)
    assert len(largest.value) == MAX_EVENT_BYTES
    headers = sum(len(name) + len(value) for name, value in header_map(largest.headers).items())
    assert MAX_EVENT_BYTES + headers + 1_024 < 4 * MIB
    with pytest.raises(TooLarge, match=f"at most {MAX_EVENT_BYTES} fit") as refused:
        activated(MAX_EVENT_BYTES)
    assert refused.value.code == "command.too_large"


def test_a_definition_that_fits_a_command_fits_its_events() -> None:
    steps = [
        replace(STEP, id=f"s{n}", with_json='{"a":"' + "x" * 900 + '"}') for n in range(MAX_STEPS)
    ]
    definition = Definition(tuple(steps))
    assert not list(problems(definition))
    verdict = JUDGE.judge(record(replace(create(P), definition=definition)), World(), START, True)
    assert isinstance(verdict, Decided)
    assert all(len(event.value) < MIB < MAX_EVENT_BYTES for event in verdict.events)
