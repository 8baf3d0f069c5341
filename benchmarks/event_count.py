"""How many events a load has written, counted in the log itself."""

from typing import Any

from confluent_kafka import Consumer, TopicPartition

from streams.connection import Connection
from streams.kafka_group import KafkaGroup
from streams.topics import Topics


class EventCount:
    """Counts what a load has written to the event log, read committed; the log is read once."""

    def __init__(
        self, connection: Connection, topics: Topics, partitions: int, key_prefix: bytes
    ) -> None:
        self._connection, self._topics = connection, topics
        self._places = {("pipeline", n): topics.events("pipeline") for n in range(partitions)}
        self._prefix = key_prefix
        self._read_to = KafkaGroup(connection, topics).ends(self._places)
        self._counted = 0

    def count(self) -> int:
        """Events of the load, of which none may be on its way."""
        ends = KafkaGroup(self._connection, self._topics).ends(self._places)
        left = {n for (_, n), end in ends.items() if end > self._read_to["pipeline", n]}
        consumer = Consumer(
            self._connection.client(
                group_id="bench-count",
                isolation_level="read_committed",
                enable_auto_commit=False,
                enable_partition_eof=True,
                fetch_queue_backoff_ms=5,
            )
        )
        topic = self._topics.events("pipeline")
        consumer.assign([TopicPartition(topic, n, self._read_to["pipeline", n]) for n in left])
        keys: set[bytes] = set()
        while left:
            message: Any
            for message in consumer.consume(5_000, 1.0):
                if message.error() is not None:
                    left.discard(message.partition())
                elif (key := message.key() or b"").startswith(self._prefix):
                    keys.add(key)
        consumer.close()
        self._read_to, self._counted = ends, self._counted + len(keys)
        return self._counted
