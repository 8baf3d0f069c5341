"""What clients send: few aggregates and few ids, so that everything meets everything.

The same id comes again, with the same content or another, with and without an expected version.
"""

import uuid
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from domain.definition import Definition, OnError, Retry, Step
from domain.execution.messages import CancelExecution, ExecutePipeline
from domain.pipeline.pipeline import (
    ActivatePipeline,
    CreatePipeline,
    PausePipeline,
    RevisePipeline,
)
from domain.schedule import CatchUp, Schedule
from streams.records import (
    Headers,
    Identity,
    command_hash,
    header_map,
    parse_expected_version,
    text,
)
from streams.topics import partition_of
from streams.turn import Place
from tests.simulation.log import Content, Record
from tests.simulation.places import CODEC, PARTITIONS

Sent = tuple[Identity, str]
"""A command by identity and content."""

_RETRY = Retry(2, 1.0, 2.0, 2.0, True)
_FIRST = Step("first", "flexcore.nothing", (), OnError.FAIL, None, _RETRY, None, "{}")
_SECOND = Step("second", "flexcore.nothing", ("first",), OnError.FAIL, None, None, None, "{}")
_WHATEVER = Step("first", "flexcore.nothing", (), OnError.CONTINUE, None, None, None, "{}")
_WELL = "steps.first.status == 'succeeded'"
_THEN = Step("second", "flexcore.nothing", ("first",), OnError.FAIL, None, None, _WELL, "{}")
_ONCE = Definition((_FIRST,))
_TWICE = Definition((_FIRST, _SECOND))
_PERHAPS = Definition((_WHATEVER, _THEN))
_EACH_MINUTE = Schedule("* * * * *", "UTC", CatchUp.ALL, "{}")
SOON_S = 1.5


@cache
def _ids(prefix: str, partition: int) -> list[str]:
    names = [f"{prefix}{n}" if prefix else str(uuid.UUID(int=n)) for n in range(1, 60)]
    return [name for name in names if partition_of(name, PARTITIONS) == partition]


PIPELINES = [_ids("p", 0)[0], _ids("p", 1)[0], _ids("p", 0)[1]]
EXECUTIONS = [*_ids("", 0)[:3], *_ids("", 1)[:2]]
EXPECTED = ("", "", "", "", "none", "exists", "1", "2", "3")


@dataclass(frozen=True, slots=True)
class Command:
    """Ready to be sent."""

    place: Place
    content: Content
    sent: Sent
    expected: str


_CREATED = {
    name: CreatePipeline(name, "A", "", _ONCE, schedule)
    for name, schedule in zip(PIPELINES, (None, _EACH_MINUTE, _EACH_MINUTE), strict=True)
}
_ACTIVATED = {name: ActivatePipeline(name, "") for name in PIPELINES}


def _messages() -> list[Any]:
    pipelines = [
        message
        for name in PIPELINES
        for message in (
            _CREATED[name],
            RevisePipeline(name, "B", "", _TWICE),
            RevisePipeline(name, "C", "", _ONCE),
            RevisePipeline(name, "D", "", _PERHAPS),
            RevisePipeline(name, "E", "", _ONCE, _EACH_MINUTE),
            _ACTIVATED[name],
        )
    ]
    pairs = [(run, PIPELINES[n % 2]) for n, run in enumerate(EXECUTIONS)]
    runs = [ExecutePipeline(run, name, None, 0, "{}") for run, name in pairs]
    hasty = [ExecutePipeline(run, name, SOON_S, 0, "{}") for run, name in pairs]
    ended = [CancelExecution(run, "") for run in EXECUTIONS]
    return [*pipelines, PausePipeline(PIPELINES[0], ""), *runs, *runs, *hasty, *ended]


MESSAGES = _messages()


@cache
def command(message: Any, number: int, expected: str = "") -> Command:
    """A command of this content under the id of this number."""
    execution = isinstance(message, ExecutePipeline | CancelExecution)
    context = "execution" if execution else "pipeline"
    aggregate_id = str(message.execution_id if execution else message.pipeline_id)
    value = CODEC.encode(message)
    command_id = str(uuid.UUID(int=number))
    headers: Headers = [("ce_id", command_id.encode())]
    if expected:
        headers = [*headers, ("ce_expectedversion", expected.encode())]
    content = command_hash(CODEC.name_of(value), value, parse_expected_version(expected))
    return Command(
        place=(context, partition_of(aggregate_id, PARTITIONS)),
        content=Content(aggregate_id.encode(), value, headers),
        sent=(Identity(context, aggregate_id, command_id), content),
        expected=expected,
    )


def first_commands() -> list[Command]:
    """Two pipelines that can be executed; the third one is for others to create."""
    return [
        command(message[name], number)
        for name in PIPELINES[:2]
        for message, number in ((_CREATED, 90), (_ACTIVATED, 94))
    ]


def some_command(random: Random) -> Command:
    return command(random.choice(MESSAGES), random.randint(1, 12), random.choice(EXPECTED))


def asked_by_schedule(place: Place, record: Record) -> Command:
    """A command that a schedule gave, as it stands on the topic of executions."""
    content = Content(record.key, record.value, record.headers)
    return Command(place, content, sent_in(place, record), "")


def sent_in(place: Place, record: Record) -> Sent:
    """What stands on a command topic."""
    return _sent(place[0], record.key or b"", record.value or b"", tuple(record.headers))


@cache
def _sent(context: str, key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...]) -> Sent:
    found = header_map(headers)
    expected = parse_expected_version(text(found, "ce_expectedversion"))
    content = command_hash(CODEC.name_of(value), value, expected)
    return Identity(context, key.decode(), text(found, "ce_id")), content
