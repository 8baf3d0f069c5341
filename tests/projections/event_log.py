"""Writes events as a worker does: in transactions, with explicit partitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from confluent_kafka import Producer

from schemas.codec import Codec
from streams import topics_admin
from streams.connection import Connection
from streams.positions import Position
from streams.registry import load_registry
from streams.topics import Topics, event_key, partition_of


@dataclass(frozen=True, slots=True)
class EventLog:
    """The event topics under one prefix."""

    topics: Topics
    partitions: int
    codec: Codec
    producer: Producer

    @classmethod
    def make(cls, bootstrap: str, prefix: str, partitions: int = 4) -> Self:
        """Make the topics and open them for writing."""
        connection, topics = Connection(bootstrap), Topics(prefix)
        topics_admin.apply(connection, topics, partitions=partitions)
        producer = Producer(
            connection.client(transactional_id=f"{prefix}-test", linger_ms=0, retry_backoff_ms=2)
        )
        producer.init_transactions(20)
        return cls(topics, partitions, load_registry(connection, topics).codec(), producer)

    def append(
        self, context: str, aggregate_id: str, events: Sequence[Any], first: int = 1
    ) -> dict[tuple[str, int], int]:
        """Commit events as versions `first` …; returns the position of the last."""
        return self.append_many(context, {aggregate_id: events}, first)

    def append_many(
        self, context: str, histories: dict[str, Sequence[Any]], first: int = 1
    ) -> dict[tuple[str, int], int]:
        """Commit several histories in one transaction; returns the position after them."""
        position: dict[tuple[str, int], int] = {}

        def seen(error: Any, message: Any) -> None:
            assert error is None, error
            place = context, message.partition()
            position[place] = max(message.offset(), position.get(place, -1))

        self.producer.begin_transaction()
        for aggregate_id, events in histories.items():
            self._produce(context, aggregate_id, events, first, seen)
        self.producer.flush(10)
        self.producer.commit_transaction(10)
        return position

    def append_and_abort(self, context: str, aggregate_id: str, events: Sequence[Any]) -> None:
        """Write events that nobody may see."""
        self.producer.begin_transaction()
        self._produce(context, aggregate_id, events, 1, None)
        self.producer.flush(10)
        self.producer.abort_transaction(10)

    def append_bytes(self, context: str, partition: int, key: bytes, value: bytes) -> Position:
        """Commit a record that no schema explains."""
        offsets: list[int] = []
        self.producer.begin_transaction()
        self.producer.produce(
            self.topics.events(context),
            key=key,
            value=value,
            partition=partition,
            on_delivery=lambda _, message: offsets.append(message.offset()),
        )
        self.producer.flush(10)
        self.producer.commit_transaction(10)
        return {(context, partition): offsets[0]}

    def _produce(
        self, context: str, aggregate_id: str, events: Sequence[Any], first: int, seen: Any
    ) -> None:
        for version, event in enumerate(events, start=first):
            self.producer.produce(
                self.topics.events(context),
                key=event_key(aggregate_id, version),
                value=self.codec.encode(event),
                partition=partition_of(aggregate_id, self.partitions),
                on_delivery=seen,
            )
            self.producer.poll(0)
