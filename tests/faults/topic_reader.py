"""Reads whole topics up to their true ends, committed records or all."""

import time
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.broker_wait import until_answered
from streams.connection import Connection
from streams.kafka_group import KafkaGroup
from streams.topics import Topics

WITHIN_S = 60.0


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
