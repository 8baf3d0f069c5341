"""Everything the topics hold after a run, read by a plain consumer up to their true ends.

read_committed ──► events, answers, commands, dead letters      read_uncommitted ──► what was aborted
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from domain.contexts import CONTEXTS
from schemas.codec import Codec
from streams.answers import read_outcome
from streams.broker_wait import until_answered
from streams.connection import Connection
from streams.kafka_group import KafkaGroup
from streams.records import header_map, text
from streams.topics import Topics, parse_event_key
from tests.faults.history import Identity

WITHIN_S = 60.0
Place = tuple[str, int]
"""(context, partition)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """An event as it stands in the log; `digest` is over value and headers.

    `name` is a pipeline's, the rest a step's, `code` why it failed; empty where there is none.
    """

    context: str
    partition: int
    offset: int
    aggregate: str
    version: int
    type: str
    source: str
    command_id: str
    hash: str
    index: int
    count: int
    digest: str
    name: str = ""
    step: str = ""
    attempt: int = 0
    delivery: int = 0
    code: str = ""

    @property
    def identity(self) -> Identity:
        return self.context, self.aggregate, self.command_id


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAnswer:
    """An answer as it stands in the outcomes topic; `place` is partition@offset."""

    place: str
    context: str
    aggregate: str
    command_id: str
    hash: str
    status: str
    code: str
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """`delivered` are the commands on their topics, `ends` the offset behind the last of each place.

    `committed` is the worker group's, `stuck` names partitions with a transaction left open.
    """

    partitions: int
    events: Sequence[LoggedEvent]
    answers: Sequence[LoggedAnswer]
    aborted: Sequence[LoggedEvent] = ()
    delivered: frozenset[Identity] = frozenset()
    ends: Mapping[Place, int] = field(default_factory=dict)
    committed: Mapping[Place, int] = field(default_factory=dict)
    dead: int = 0
    stuck: Sequence[str] = ()


def take(connection: Connection, topics: Topics, codec: Codec, partitions: int) -> Dump:
    """Read all. Raises KafkaException, TimeoutError where a topic cannot be read to its end."""
    reader = TopicReader(connection, topics, partitions)
    events: list[LoggedEvent] = []
    aborted: list[LoggedEvent] = []
    delivered: set[Identity] = set()
    ends: dict[Place, int] = {}
    for context in CONTEXTS:
        topic = topics.events(context)
        visible = [_event(context, m, codec) for m in reader.read(topic, "read_committed")]
        places = {(event.partition, event.offset) for event in visible}
        raw = reader.read(topic, "read_uncommitted")
        unseen = [m for m in raw if (m.partition(), m.offset()) not in places]
        aborted += [_event(context, m, codec) for m in unseen]
        events += visible
        for message in reader.read(topics.commands(context), "read_committed"):
            place = context, message.partition()
            ends[place] = message.offset() + 1
            command_id = text(header_map(message.headers()), "ce_id")
            delivered.add((context, _text(message.key()), command_id))
    return Dump(
        partitions=partitions,
        events=events,
        answers=[_answer(m, codec) for m in reader.read(topics.outcomes, "read_committed")],
        aborted=aborted,
        delivered=frozenset(delivered),
        ends=ends,
        committed=_committed(connection, topics, partitions),
        dead=len(reader.read(topics.dead, "read_committed")),
        stuck=reader.stuck,
    )


class TopicReader:
    """Reads whole topics; `stuck` collects where read_committed could not come to the end."""

    def __init__(
        self,
        connection: Connection,
        topics: Topics,
        partitions: int,
        *,
        within_s: float = WITHIN_S,
    ) -> None:
        self._within_s = within_s
        self._connection = connection
        self._group = KafkaGroup(connection, topics)
        self._partitions = partitions
        self.stuck: list[str] = []

    def read(self, topic: str, isolation: str) -> list[Any]:
        """All records in the order of each partition. Raises TimeoutError, KafkaException."""
        numbers = range(self._partitions)
        places = {(topic, number): topic for number in numbers}
        deadline = time.monotonic() + self._within_s
        ends = until_answered(lambda: self._group.ends(places), deadline)
        consumer = Consumer(
            self._connection.client(
                group_id=f"{topic}-dump",
                isolation_level=isolation,
                enable_auto_commit=False,
                enable_partition_eof=True,
                fetch_queue_backoff_ms=5,
            )
        )
        consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        try:
            return self._to_ends(consumer, topic, {p: end for (_, p), end in ends.items()})
        finally:
            consumer.close()

    def _to_ends(self, consumer: Consumer, topic: str, ends: dict[int, int]) -> list[Any]:
        found: list[Any] = []
        left = dict(ends)
        deadline = time.monotonic() + self._within_s
        while left:
            messages: list[Any] = consumer.consume(5_000, 0.5)
            for message in messages:
                error = message.error()
                if error is None:
                    found.append(message)
                    at = message.offset() + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    # Behind a transaction's marker, only this tells how far was read.
                    at = message.offset()
                else:
                    raise KafkaException(error)
                if at >= left.get(message.partition(), at + 1):
                    del left[message.partition()]
            if time.monotonic() > deadline:
                self.stuck += [
                    f"{topic}/{partition} short of {end}" for partition, end in left.items()
                ]
                break
        return found


def _event(context: str, message: Any, codec: Codec) -> LoggedEvent:
    headers = header_map(message.headers())
    aggregate, version = parse_event_key(message.key())
    value: bytes = message.value()
    body = codec.decode(value)
    digest = hashlib.sha256(value)
    for name, content in sorted(headers.items()):
        digest.update(b"\0%s\0%s" % (name.encode(), content))
    return LoggedEvent(
        context=context,
        partition=message.partition(),
        offset=message.offset(),
        aggregate=aggregate,
        version=version,
        type=text(headers, "ce_type").rpartition(".")[2],
        source=text(headers, "ce_source"),
        command_id=text(headers, "ce_commandid"),
        hash=text(headers, "ce_commandhash"),
        index=int(text(headers, "ce_txnindex", "-1")),
        count=int(text(headers, "ce_txncount", "-1")),
        digest=digest.hexdigest(),
        name=getattr(body, "name", ""),
        step=getattr(body, "step_id", None) or "",
        attempt=getattr(body, "attempt", 0),
        delivery=getattr(body, "delivery", 0),
        code=getattr(body, "error_code", ""),
    )


def _answer(message: Any, codec: Codec) -> LoggedAnswer:
    answer = read_outcome(header_map(message.headers()), message.value(), codec)
    return LoggedAnswer(
        place=f"{message.partition()}@{message.offset()}",
        context=answer.identity.context,
        aggregate=answer.identity.aggregate_id,
        command_id=answer.identity.command_id,
        hash=answer.hash,
        status=answer.status,
        code=answer.error_code,
        versions=answer.versions,
    )


def _committed(connection: Connection, topics: Topics, partitions: int) -> dict[Place, int]:
    places = [(context, number) for context in CONTEXTS for number in range(partitions)]
    consumer = Consumer(connection.client(group_id=topics.worker_group, enable_auto_commit=False))
    try:
        asked = [TopicPartition(topics.commands(context), number) for context, number in places]
        answered = consumer.committed(asked, WITHIN_S)
    finally:
        consumer.close()
    return {place: max(p.offset, 0) for place, p in zip(places, answered, strict=True)}


def _text(key: bytes | None) -> str:
    return (key or b"").decode("utf-8", "replace")
