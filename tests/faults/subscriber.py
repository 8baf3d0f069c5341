"""Somebody who follows the events while everything breaks, and now and then has to begin anew.

read_committed from the start ──► (offset, aggregate, version) … ──► cut off ──► on from where it was
"""

import random
import threading
import time
import uuid
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from domain.contexts import CONTEXTS
from streams.broker_wait import until_answered
from streams.connection import Connection
from streams.kafka_group import KafkaGroup
from streams.topics import Topics, parse_event_key
from tests.faults.logged import Place
from tests.faults.workers import until

ANEW_AFTER_S = (3.0, 20.0)
READ_WITHIN_S = 120.0
Seen = dict[Place, list[tuple[int, str, int]]]
"""(offset, aggregate, version) by place, as they came."""


class Subscriber(threading.Thread):
    """`seen` grows until `finish`."""

    def __init__(self, connection: Connection, topics: Topics, partitions: int, seed: int) -> None:
        super().__init__(name="subscriber", daemon=True)
        self._connection = connection
        self._topics = topics
        self._chance = random.Random(seed)
        self._contexts = {topics.events(context): context for context in CONTEXTS}
        self._positions = {
            (topic, number): 0 for topic in self._contexts for number in range(partitions)
        }
        self.seen: Seen = {(self._contexts[topic], number): [] for topic, number in self._positions}
        self.begun = 0
        self.failure: BaseException | None = None
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._follow(time.monotonic() + self._chance.uniform(*ANEW_AFTER_S))
        except Exception as error:
            self.failure = error

    def finish(self) -> None:
        """Read to the true ends, then stop. Raises TimeoutError, or what ended it before."""
        group = KafkaGroup(self._connection, self._topics)
        places = {(t, number): t for t, number in self._positions}
        ends = until_answered(lambda: group.ends(places), time.monotonic() + READ_WITHIN_S)

        def reached() -> bool:
            if self.failure is not None:
                raise self.failure
            return all(self._positions[place] >= end for place, end in ends.items())

        try:
            until(reached, READ_WITHIN_S, "every event by the subscriber")
        finally:
            self._stopping.set()
            self.join()

    def _follow(self, until_s: float) -> None:
        self.begun += 1
        consumer = Consumer(
            self._connection.client(
                group_id=f"subscriber-{uuid.uuid4().hex[:8]}",
                isolation_level="read_committed",
                enable_auto_commit=False,
                enable_partition_eof=True,
                auto_offset_reset="earliest",
                fetch_wait_max_ms=50,
                fetch_queue_backoff_ms=5,
            )
        )
        consumer.assign([TopicPartition(*place, at) for place, at in self._positions.items()])
        try:
            while time.monotonic() < until_s and not self._stopping.is_set():
                first = consumer.poll(0.2)
                for message in [] if first is None else [first, *consumer.consume(1_000, 0)]:
                    self._take(message)
        finally:
            consumer.close()

    def _take(self, message: Any) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if topic is None or partition is None or offset is None or offset < 0:
            return
        if message.error() is not None:
            # Behind a transaction's marker, only the end of the partition tells how far was read.
            self._positions[topic, partition] = offset
            return
        aggregate, version = parse_event_key(message.key())
        self.seen[self._contexts[topic], partition].append((offset, aggregate, version))
        self._positions[topic, partition] = offset + 1
