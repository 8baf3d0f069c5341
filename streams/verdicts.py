"""What the lane takes and what becomes of it: commands in, one verdict each.

CommandRecord | InternalCommand ──► Decided | Rejected | Repeated | Stray | NeedsPipeline
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from domain.quick_init import quick_init
from streams.answers import Answer
from streams.records import Headers


class CommandRecord(NamedTuple):
    """A command as it was read from a topic; `unread` says why nothing of it could be."""

    context: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    unread: str = ""


@dataclass(frozen=True, slots=True)
class InternalCommand:
    """A command of the engine, in the process that owns its aggregate; it is never answered."""

    context: str
    partition: int
    aggregate_id: str
    command: Any
    command_id: uuid.UUID
    correlation_id: str
    causation_id: str


@quick_init
@dataclass(frozen=True, slots=True)
class NewEvent:
    """A decided event, ready to be written."""

    context: str
    partition: int
    aggregate_id: str
    version: int
    event: Any
    key: bytes
    value: bytes
    headers: Headers


# ── verdicts ─────────────────────────────────────────────────────────────────────────────


@quick_init
@dataclass(frozen=True, slots=True)
class Decided:
    """Events to write; without any, the acceptance itself must be written."""

    answer: Answer
    events: Sequence[NewEvent]
    state: Any
    version: int
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refusal to write; `dead` gives the reason where the record itself is kept as well."""

    answer: Answer | None
    dead: str = ""


@dataclass(frozen=True, slots=True)
class Repeated:
    """The identity was answered before; the same answer again."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Stray:
    """Arrived on another partition than its aggregate's."""

    partition: int


@dataclass(frozen=True, slots=True)
class NeedsPipeline:
    """Would be refused for lack of an active pipeline; first read on, it may be on its way."""

    pipeline_id: str


Verdict = Decided | Rejected | Repeated | Stray | NeedsPipeline
