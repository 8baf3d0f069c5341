"""A turn of the lane: verdicts become writes and an overlay, which a commit makes true."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from domain.pipeline.pipeline import PipelineScheduleFired
from schemas.codec import Codec
from streams.answers import Answer, answer_of, outcome_headers, outcome_value
from streams.appends import Append
from streams.records import EventRecord, Headers, Identity, header_map
from streams.scheduled_runs import asking_for
from streams.stream_index import OUTCOMES
from streams.topics import MIB, Topics, partition_of
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

MAX_COMMANDS = 1_000
"""A larger turn gains no throughput, only latency (measured: 25,000/s at 1,000)."""
MAX_TURN_BYTES = 16 * MIB
"""A transaction must be over long before its time-out of 10 s, also on a slow disk."""

EVENT_HEADER_BYTES = 1_024
"""Ours are 500 bytes as a rule; to count those of each event would be 6 % of judging it."""
MAX_DEAD_BYTES = 8 * MIB - 64 * 1024
"""The topic takes 8 MiB with the reason, the place and the batch overhead."""

Place = tuple[str, int]
"""(context, partition): a command partition and the event partition of the same number."""


class Write(NamedTuple):
    """`place` is set for events and outcomes: where the log must show it."""

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
    """What a commit brought: events for the engine, appends with their answers, and counts."""

    events: Sequence[NewEvent]
    appends: Sequence[tuple[Append, Mapping[str, Answer]]]
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
    outcomes: list[Identity] = field(default_factory=list)
    offsets: dict[Place, int] = field(default_factory=dict)
    commands: list[CommandRecord] = field(default_factory=list)
    eventless: list[CommandRecord] = field(default_factory=list)
    internal: list[InternalCommand] = field(default_factory=list)
    repairs: list[NewEvent] = field(default_factory=list)
    told: set[bytes] = field(default_factory=set)
    last: dict[Place, bytes] = field(default_factory=dict)
    appends: list[tuple[Append, Mapping[str, Answer]]] = field(default_factory=list)
    size_bytes: int = 0
    refused: int = 0
    dead: int = 0

    @property
    def empty(self) -> bool:
        return not (self.writes or self.offsets)

    @property
    def takes_commands(self) -> bool:
        return len(self.commands) < MAX_COMMANDS and self.size_bytes < MAX_TURN_BYTES

    @property
    def takes_internal(self) -> bool:
        taken = len(self.internal) + len(self.appends)
        return taken < MAX_COMMANDS and self.size_bytes < MAX_TURN_BYTES

    def settled(self) -> Settled:
        """What it was, once it is committed; an event of an earlier commit is no news."""
        news = self.events
        if self.told:
            news = [event for event in self.events if event.key not in self.told]
        return Settled(news, self.appends, len(self.commands), self.refused, self.dead)

    def last_keys(self) -> dict[Place, str]:
        """The key of the last event of each place."""
        return {place: key.decode() for place, key in self.last.items()}

    def apply(self, record: CommandRecord, verdict: Verdict) -> None:
        """Take what became of a command, and its offset."""
        self.commands.append(record)
        place = record.context, record.partition
        # A command that is judged again must not take its partition back.
        self.offsets[place] = max(record.offset + 1, self.offsets.get(place, 0))
        if not isinstance(verdict, Decided) or not verdict.events:
            self.eventless.append(record)
        match verdict:
            case Decided():
                self._decided(verdict)
            case Rejected():
                self._rejected(record, verdict)
            case Repeated(answer):
                # The answer to events that are not yet seen in the log is still to come.
                if answer.identity not in self.answers and (answer.position or not answer.versions):
                    self._outcome(answer)
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

    def apply_append(self, append: Append, decided: Sequence[Decided], offset: int) -> None:
        """Take what an append makes; `offset` is its place's next command offset."""
        self.appends.append(
            (append, {one.answer.identity.aggregate_id: one.answer for one in decided})
        )
        self.offsets.setdefault(append.place, offset)
        for one in decided:
            self._decided(one)

    def repair(self, event: NewEvent, offset: int, *, told: bool) -> None:
        """Write a committed event again that the log lacks; `told` = the engine knows of it."""
        self.repairs.append(event)
        if told:
            self.told.add(event.key)
        self.offsets.setdefault((event.context, event.partition), offset)
        self._event(event)
        answer = written_answer(event)
        if answer is not None:
            self.answers[answer.identity] = answer

    def snapshot(self, write: Write, place: Place, offset: int) -> None:
        """Take a snapshot; `offset` is its place's next command offset."""
        self.offsets.setdefault(place, offset)
        self._write(write)

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
        self.last[place] = event.key
        write = Write(topic, event.partition, event.key, event.value, event.headers, place)
        self._write(write, EVENT_HEADER_BYTES)
        if isinstance(event.event, PipelineScheduleFired):
            self._start_run(event, event.event)

    def _start_run(self, event: NewEvent, fired: PipelineScheduleFired) -> None:
        # In this very transaction, so that neither is there without the other. An event that is
        # written again brings the same command again, which takes effect once.
        value, headers = asking_for(fired, header_map(event.headers), self.codec)
        partition = partition_of(fired.execution_id, self.partitions)
        key = fired.execution_id.encode()
        self._write(Write(self.topics.commands("execution"), partition, key, value, headers))

    def _outcome(self, answer: Answer) -> None:
        partition = partition_of(answer.identity.aggregate_id, self.partitions)
        key = answer.identity.command_id.encode()
        value = outcome_value(answer, self.codec)
        headers = outcome_headers(answer, self.at, self.source)
        # With its place, as whoever committed it looks whether it is there.
        if answer.remembered and not answer.versions:
            self.outcomes.append(answer.identity)
        place = OUTCOMES, partition
        write = Write(self.topics.outcomes, partition, key, value, headers, place)
        self._write(write, EVENT_HEADER_BYTES)

    def _dead_letter(self, record: CommandRecord, reason: str) -> None:
        key, value, kept = record.key, record.value, record.headers
        size = _size(kept) + len(key or b"") + len(value or b"")
        if size > MAX_DEAD_BYTES:
            # What a client compressed may be larger than any topic takes; it stands where it was.
            key, value, kept = None, None, [("dead_dropped_bytes", str(size).encode())]
        headers = [
            *kept,
            ("dead_reason", reason[:2_000].encode()),
            ("dead_topic", self.topics.commands(record.context).encode()),
            ("dead_partition", str(record.partition).encode()),
            ("dead_offset", str(record.offset).encode()),
            ("dead_time", self.at.isoformat().encode()),
        ]
        self._write(Write(self.topics.dead, record.partition, key, value, headers))

    def _write(self, write: Write, header_bytes: int | None = None) -> None:
        self.writes.append(write)
        headers = _size(write.headers) if header_bytes is None else header_bytes
        self.size_bytes += len(write.value or b"") + headers + 128


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value or b"") for name, value in headers)


def written_answer(event: NewEvent) -> Answer | None:
    """The answer that a command's last event stands for, not yet seen in the log."""
    place = event.partition, 0, 0
    named = event.context, event.aggregate_id, event.version
    answer = answer_of(EventRecord(*named, *place, event.value, header_map(event.headers)))
    return None if answer is None else replace(answer, position="")
