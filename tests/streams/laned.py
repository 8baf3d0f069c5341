"""The write path of a worker in this process, on real Kafka, without Faust: for its contracts.

a consumer joins the worker group ──► its generation opens the lane; tailer and index as shipped
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from confluent_kafka import Consumer

from domain.contexts import CONTEXTS
from schemas.codec import Codec
from streams.connection import Connection
from streams.due_snapshots import Rhythm
from streams.following import Following
from streams.judging import Judge
from streams.kafka_answers import KafkaAnswers
from streams.kafka_group import KafkaGroup
from streams.kafka_lane import KafkaLane
from streams.kafka_tailer import KafkaTailer
from streams.kafka_writer import KafkaWriter
from streams.lane import Lane
from streams.memory_stream_index import MemoryStreamIndex
from streams.registry import load_registry
from streams.tailer import Tailer
from streams.topics import Topics
from streams.verdicts import CommandRecord

JOIN_WITHIN_S = 30.0
WRITER = "worker-0"


@dataclass(frozen=True, slots=True)
class Laned:
    """What runs; `codec` knows the registered schemas."""

    connection: Connection
    topics: Topics
    partitions: int
    codec: Codec
    index: MemoryStreamIndex
    lane: KafkaLane
    logic: Lane
    tailer: KafkaTailer
    writer: KafkaWriter


@contextmanager
def laned(
    connection: Connection, topics: Topics, partitions: int, writer_via: str | None = None
) -> Iterator[Laned]:
    """A lane that owns every partition and takes the commands of their topics.

    `writer_via` is another bootstrap for the transactions alone.
    """
    codec = load_registry(connection, topics).codec()
    index = MemoryStreamIndex()
    logic = Tailer(index)
    group = KafkaGroup(connection, topics)
    answers = KafkaAnswers(connection, topics, codec, partition=0, source="flexcore/worker/0/0")
    tailer = KafkaTailer(
        connection,
        topics,
        codec,
        logic,
        partitions=partitions,
        answers=answers,
        following=Following(range(partitions), everything=True),
        ends=group.ends,
    )
    judge = Judge(codec, partitions, lambda: 0.5)
    lane = Lane(
        judge,
        index,
        topics,
        transactional_id=WRITER,
        url="http://127.0.0.1:1",
        rhythm=Rhythm(pause=timedelta(0)),
    )
    writer = KafkaWriter(Connection(writer_via or connection.bootstrap), topics, WRITER)
    driver = KafkaLane(
        lane,
        index,
        writer,
        group,
        tailer,
        writer_id=WRITER,
        on_opening=lambda _: None,
        on_settled=lambda _: None,
        on_commit_s=lambda _: None,
    )
    writer.connect()
    tailer.start()
    driver.start()
    stop = threading.Event()
    member = _join(connection, topics, partitions, driver, stop)
    try:
        yield Laned(connection, topics, partitions, codec, index, driver, lane, tailer, writer)
    finally:
        stop.set()
        driver.stop()
        tailer.stop()
        member.join()


def _join(
    connection: Connection, topics: Topics, partitions: int, lane: KafkaLane, stop: threading.Event
) -> threading.Thread:
    """Be the group's only member; returns when the lane is open."""
    consumer = Consumer(
        connection.client(
            group_id=topics.worker_group,
            client_id=WRITER,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
    )
    names = {topics.commands(context): context for context in CONTEXTS}
    consumer.subscribe(list(names))
    deadline = time.monotonic() + JOIN_WITHIN_S
    first = None
    while len(consumer.assignment()) < len(names) * partitions:
        first = first or consumer.poll(0.1)
        assert time.monotonic() < deadline, "not joined"
    group = bytes(consumer.consumer_group_metadata())
    places = [(names[one.topic], one.partition) for one in consumer.assignment()]
    lane.open_places(places, 1, group, lane.closings)
    early = [] if first is None else [first]

    def run() -> None:
        while not stop.is_set():
            messages = [*early, *consumer.consume(500, 0.05)]
            early.clear()
            lane.take(
                1,
                [
                    CommandRecord(
                        names[m.topic()],
                        m.partition(),
                        m.offset(),
                        m.timestamp()[1],
                        m.key(),
                        m.value(),
                        m.headers() or [],
                    )
                    for m in messages
                    if m.error() is None
                ],
            )
        consumer.close()

    thread = threading.Thread(target=run, name="member", daemon=True)
    thread.start()
    return thread
