"""What a dead worker left unanswered is answered at once by the next, partition by partition."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Thread
from typing import TypeVar

import pytest
from confluent_kafka import Producer

from domain.pipeline.pipeline import PipelineActivated
from schemas.codec import Codec
from streams import topics_admin
from streams.answers import Answer
from streams.connection import Connection
from streams.following import Following
from streams.kafka_answers import KafkaAnswers
from streams.kafka_group import KafkaGroup
from streams.kafka_tailer import KafkaTailer
from streams.memory_stream_index import MemoryStreamIndex
from streams.registry import load_registry
from streams.tailer import Tailer
from streams.topics import Topics, event_key, partition_of
from tests.faults import topic_dump
from tests.faults.running import PARTITIONS
from tests.faults.workers import until

pytestmark = pytest.mark.kafka

A = TypeVar("A", bound=KafkaAnswers)

AT = datetime(2026, 1, 1, tzinfo=UTC)
TURN_S = 1.0
"""What waiting for a batch that never fills would cost for each partition."""


def write_unanswered(
    connection: Connection, topics: Topics, codec: Codec, names: Sequence[str]
) -> None:
    """One event each, of a command that nobody has answered."""
    producer = Producer(connection.client(linger_ms=0))
    for name in names:
        event = PipelineActivated(name, "anonymous", AT, "")
        producer.produce(
            topics.events("pipeline"),
            key=event_key(name, 1),
            value=codec.encode(event),
            partition=partition_of(name, PARTITIONS),
            headers=[
                ("ce_id", str(uuid.uuid4()).encode()),
                ("ce_source", b"flexcore/worker"),
                ("ce_commandid", str(uuid.uuid4()).encode()),
                ("ce_commandhash", name.encode()),
                ("ce_txnindex", b"0"),
                ("ce_txncount", b"1"),
            ],
        )
    assert producer.flush(30) == 0


@dataclass(frozen=True, slots=True)
class Reader:
    tailer: KafkaTailer
    index: MemoryStreamIndex

    def own_all(self, names: Sequence[str]) -> None:
        """Read all events, then become the one who answers."""
        until(lambda: all(self.index.last_version("pipeline", n) for n in names), 30, "every event")
        places = [("pipeline", number) for number in range(PARTITIONS)]
        self.tailer.own(places, lambda place: self.index.position(*place))


def tailer_of(
    connection: Connection, topics: Topics, codec: Codec, answers: KafkaAnswers
) -> Reader:
    index = MemoryStreamIndex()
    tailer = KafkaTailer(
        connection,
        topics,
        codec,
        Tailer(index),
        partitions=PARTITIONS,
        answers=answers,
        following=Following(range(PARTITIONS), everything=True),
        ends=KafkaGroup(connection, topics).ends,
    )
    tailer.start()
    return Reader(tailer, index)


class AsksToStop(KafkaAnswers):
    """Somebody ends the worker as soon as it has answered a partition."""

    tailer: KafkaTailer
    stopping: Thread | None = None

    def produce(self, answers: Sequence[Answer]) -> None:
        super().produce(answers)
        if answers and self.stopping is None:
            self.stopping = Thread(target=self.tailer.stop)
            self.stopping.start()
            self.tailer._stopping.wait(5)


@dataclass(frozen=True, slots=True)
class Left:
    """What somebody has left unanswered."""

    connection: Connection
    topics: Topics
    codec: Codec
    names: list[str]

    def answers(self, of: type[A], slot: int) -> A:
        """Where a worker writes its answers."""
        source = f"flexcore/worker/{slot}/1"
        return of(self.connection, self.topics, self.codec, partition=0, source=source)

    def reader(self, answers: KafkaAnswers) -> Reader:
        """A worker's tailer, reading."""
        return tailer_of(self.connection, self.topics, self.codec, answers)

    def answered(self) -> list[str]:
        """The aggregates of all answers that were given."""
        dump = topic_dump.take(self.connection, self.topics, self.codec, PARTITIONS)
        return [answer.aggregate for answer in dump.answers]


@pytest.fixture
def left(kafka: str, kafka_prefix: str) -> Left:
    """Forty commands' events on topics of their own, none of them answered."""
    connection, topics = Connection(kafka), Topics(kafka_prefix)
    topics_admin.apply(connection, topics, partitions=PARTITIONS)
    codec = load_registry(connection, topics, None).codec()
    names = [f"left-{number}" for number in range(40)]
    write_unanswered(connection, topics, codec, names)
    return Left(connection, topics, codec, names)


def test_unanswered_partitions_are_answered_without_waiting_for_full_batches(left: Left) -> None:
    reader = left.reader(left.answers(KafkaAnswers, 0))
    try:
        began = time.monotonic()
        reader.own_all(left.names)
        took_s = time.monotonic() - began
    finally:
        reader.tailer.stop()
    assert sorted(left.answered()) == sorted(left.names)
    assert took_s < PARTITIONS * TURN_S


def test_what_a_worker_that_is_stopped_did_not_get_to_is_answered_by_the_next(left: Left) -> None:
    stopped = left.answers(AsksToStop, 0)
    first = left.reader(stopped)
    stopped.tailer = first.tailer
    first.own_all(left.names)
    assert stopped.stopping is not None
    stopped.stopping.join()

    second = left.reader(left.answers(KafkaAnswers, 1))
    try:
        second.own_all(left.names)
    finally:
        second.tailer.stop()
    assert set(left.answered()) == set(left.names)
