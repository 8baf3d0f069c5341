"""A turn of the lane: verdicts become writes and an overlay, which a commit makes true."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from schemas.codec import Codec
from streams.answers import Answer, outcome_headers, outcome_value
from streams.records import Headers, Identity
from streams.topics import Topics, partition_of
from streams.verdicts import (
    CommandRecord,
    Decided,
    InternalCommand,
    NeedsPipeline,
    NewEvent,
    Rejected,
    Repeated,
    Stray,
    Verdict,
)

Place = tuple[str, int]
"""(context, partition): a command partition and the event partition of the same number."""


@dataclass(frozen=True, slots=True)
class Write:
    """`place` is set for events alone: where the log must show it."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """`offsets` are the next command offsets of every place that is written or was read."""

    writes: Sequence[Write]
    offsets: Mapping[Place, int]
    metadata: Mapping[Place, str]
    group: bytes


@dataclass(frozen=True, slots=True)
class Settled:
    """What a commit brought: events for the engine, answers to give again, and counts."""

    events: Sequence[NewEvent]
    repeats: Sequence[Answer]
    judged: int
    refused: int
    dead: int


@dataclass(slots=True)
class Turn:
    """Collects what one transaction will make true."""

    at: datetime
    topics: Topics
    codec: Codec
    partitions: int
    source: str
    writes: list[Write] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)
    states: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    answers: dict[Identity, Answer] = field(default_factory=dict)
    repeats: list[Answer] = field(default_factory=list)
    offsets: dict[Place, int] = field(default_factory=dict)
    commands: list[CommandRecord] = field(default_factory=list)
    internal: list[InternalCommand] = field(default_factory=list)
    repairs: list[NewEvent] = field(default_factory=list)
    size_bytes: int = 0
    refused: int = 0
    dead: int = 0

    @property
    def empty(self) -> bool:
        return not (self.writes or self.offsets)

    def settled(self) -> Settled:
        """What it was, once it is committed; a repaired event is no news to the engine."""
        news = [event for event in self.events if event not in self.repairs]
        return Settled(news, self.repeats, len(self.commands), self.refused, self.dead)

    def apply(self, record: CommandRecord, verdict: Verdict) -> None:
        """Take what became of a command, and its offset."""
        self.commands.append(record)
        self.offsets[record.context, record.partition] = record.offset + 1
        match verdict:
            case Decided():
                self._decided(verdict)
            case Rejected():
                self._rejected(record, verdict)
            case Repeated(answer):
                # The answer to events that are not yet seen in the log is still to come.
                if answer.identity not in self.answers and (answer.position or not answer.versions):
                    self.repeats.append(answer)
            case Stray(partition):
                forwarded = ("ce_forwarded", str(record.partition).encode())
                topic = self.topics.commands(record.context)
                headers = [*record.headers, forwarded]
                self._write(Write(topic, partition, record.key, record.value, headers))
            case NeedsPipeline():
                raise AssertionError("a parked command is not applied")

    def apply_internal(self, command: InternalCommand, decided: Decided, offset: int) -> None:
        """Take what the engine's command made; `offset` is its place's next command offset."""
        self.internal.append(command)
        self.offsets.setdefault((command.context, command.partition), offset)
        self._decided(decided)

    def repair(self, event: NewEvent, offset: int) -> None:
        """Write a committed event again that the log turned out to lack."""
        self.repairs.append(event)
        self.offsets.setdefault((event.context, event.partition), offset)
        self._event(event)

    def _decided(self, verdict: Decided) -> None:
        answer = verdict.answer
        self.answers[answer.identity] = answer
        if verdict.events:
            key = answer.identity.context, answer.identity.aggregate_id
            self.states[key] = verdict.version, verdict.state
            for event in verdict.events:
                self._event(event)
        elif not verdict.internal:
            self._outcome(answer)

    def _rejected(self, record: CommandRecord, verdict: Rejected) -> None:
        if verdict.dead:
            self.dead += 1
            self._dead_letter(record, verdict.dead)
        if verdict.answer is not None:
            self.refused += 1
            self._outcome(verdict.answer)
            if verdict.answer.remembered:
                self.answers[verdict.answer.identity] = verdict.answer

    def _event(self, event: NewEvent) -> None:
        topic = self.topics.events(event.context)
        place = event.context, event.partition
        self.events.append(event)
        self._write(Write(topic, event.partition, event.key, event.value, event.headers, place))

    def _outcome(self, answer: Answer) -> None:
        partition = partition_of(answer.identity.aggregate_id, self.partitions)
        key = answer.identity.command_id.encode()
        value = outcome_value(answer, self.codec)
        headers = outcome_headers(answer, self.at, self.source)
        self._write(Write(self.topics.outcomes, partition, key, value, headers))

    def _dead_letter(self, record: CommandRecord, reason: str) -> None:
        headers = [
            *record.headers,
            ("dead_reason", reason[:2_000].encode()),
            ("dead_topic", self.topics.commands(record.context).encode()),
            ("dead_partition", str(record.partition).encode()),
            ("dead_offset", str(record.offset).encode()),
            ("dead_time", self.at.isoformat().encode()),
        ]
        write = Write(self.topics.dead, record.partition, record.key, record.value, headers)
        self._write(write)

    def _write(self, write: Write) -> None:
        self.writes.append(write)
        self.size_bytes += len(write.value or b"") + 512


def without_event(event: NewEvent) -> NewEvent:
    """The wire form alone, for what waits to be seen in the log."""
    return replace(event, event=None)
