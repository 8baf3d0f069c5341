"""What clients send: few aggregates and few ids, so that everything meets everything.

The same id comes again, with the same content or another, with and without an expected version.
"""

import uuid
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from domain.definition import Definition, OnError, Retry, Step
from domain.execution.messages import ExecutePipeline
from domain.pipeline.pipeline import ActivatePipeline, CreatePipeline, RevisePipeline
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
_DEFINITIONS = (Definition((_FIRST,)), Definition((_FIRST, _SECOND)))


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


def _messages() -> list[Any]:
    pipelines = [
        message
        for name in PIPELINES
        for message in (
            CreatePipeline(name, "A", "", _DEFINITIONS[0]),
            RevisePipeline(name, "B", "", _DEFINITIONS[1]),
            RevisePipeline(name, "C", "", _DEFINITIONS[0]),
            RevisePipeline(name, "D", "", _DEFINITIONS[1]),
            ActivatePipeline(name, ""),
        )
    ]
    runs = [ExecutePipeline(e, PIPELINES[n % 2], None, 0, "{}") for n, e in enumerate(EXECUTIONS)]
    return [*pipelines, *runs, *runs]


MESSAGES = _messages()


@cache
def command(message: Any, number: int, expected: str = "") -> Command:
    """A command of this content under the id of this number."""
    execution = isinstance(message, ExecutePipeline)
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
    return [command(MESSAGES[place * 5 + what], 90 + what) for place in range(2) for what in (0, 4)]


def some_command(random: Random) -> Command:
    return command(random.choice(MESSAGES), random.randint(1, 12), random.choice(EXPECTED))


def sent_in(place: Place, record: Record) -> Sent:
    """What stands on a command topic."""
    return _sent(place[0], record.key or b"", record.value or b"", tuple(record.headers))


@cache
def _sent(context: str, key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...]) -> Sent:
    found = header_map(headers)
    expected = parse_expected_version(text(found, "ce_expectedversion"))
    content = command_hash(CODEC.name_of(value), value, expected)
    return Identity(context, key.decode(), text(found, "ce_id")), content
