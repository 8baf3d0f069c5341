"""Handlers at work on a real Kafka: a log that is written as workers do, and hosts that read it."""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from agents.handler_group import Source
from agents.handler_host import HandlerHost
from agents.handlers import Event, Handler
from gateway.json_shapes import event_json
from streams import new_events
from streams.connection import Connection
from streams.new_events import Home
from streams.topics import partition_of
from tests.projections.event_log import EventLog

WITHIN_S = 120.0
"""A worker starts in 3 s; with other work on the cores it took more than 40."""


@dataclass(frozen=True)
class Log:
    """The event topics under one prefix, for handlers."""

    bootstrap: str
    written: EventLog

    @classmethod
    def make(cls, bootstrap: str, prefix: str) -> "Log":
        return cls(bootstrap, EventLog.make(bootstrap, prefix))

    def append(self, aggregate_id: str, events: Sequence[Any], first: int = 1) -> None:
        """Commit events of a pipeline as versions `first` …, with the headers that they have."""
        log = self.written
        partition = partition_of(aggregate_id, log.partitions)
        source = new_events.Source(str(uuid.uuid4()), "hash", b"test", "correlated", "caused")
        home = Home("pipeline", aggregate_id, partition)
        found = new_events.new_events(home, first - 1, events, source, datetime.now(UTC), log.codec)
        log.producer.begin_transaction()
        for event in found:
            topic = log.topics.events("pipeline")
            log.producer.produce(
                topic,
                key=event.key,
                value=event.value,
                headers=list(event.headers),
                partition=partition,
            )
        log.producer.commit_transaction(10)

    @contextmanager
    def handled(self, *handlers: Handler, session_timeout_s: float = 6.0) -> Iterator[HandlerHost]:
        """A worker's handlers at work; they have their partitions when this is entered."""
        source = Source(
            connection=Connection(self.bootstrap),
            topics=self.written.topics,
            codec=self.written.codec,
            partitions=self.written.partitions,
            session_timeout_s=session_timeout_s,
            client_id="test",
        )
        host = HandlerHost(handlers, source, event_json)
        host.start()
        try:
            until(lambda: all(one["partitions"] for one in host.state.values()), "assigned")
            yield host
        finally:
            host.stop()

    def ids(self, partition: int, count: int) -> list[str]:
        """So many ids of pipelines of a partition."""
        numbers = (f"p{number}" for number in range(10_000))
        mine = (one for one in numbers if partition_of(one, self.written.partitions) == partition)
        return [next(mine) for _ in range(count)]

    def dead(self, count: int) -> list[Any]:
        """So many dead letters, from the first on."""
        topic, partitions = self.written.topics.dead, self.written.partitions
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "none"})
        consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        try:
            return list(consumer.consume(count, WITHIN_S))
        finally:
            consumer.close()

    def committed(self, name: str) -> dict[int, int]:
        """Up to where a handler's group has committed, by partition."""
        topics = self.written.topics
        settings = {"bootstrap.servers": self.bootstrap, "group.id": topics.handler_group(name)}
        consumer = Consumer(settings)
        topic, partitions = topics.events("pipeline"), range(self.written.partitions)
        try:
            found = consumer.committed([TopicPartition(topic, n) for n in partitions], 10)
        finally:
            consumer.close()
        return {one.partition: one.offset for one in found}


@dataclass
class Kept:
    """A handler's function that keeps what it was called with; `fail` may raise for an event."""

    fail: Callable[[Event, int], None] = lambda _event, _number: None
    slow_s: float = 0.0
    events: list[Event] = field(default_factory=list)
    calls: list[tuple[str, int]] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, event: Event) -> None:
        self.begun.set()
        self.calls.append((event.aggregate_id, event.version))
        await asyncio.sleep(self.slow_s)
        self.fail(event, self.calls.count((event.aggregate_id, event.version)))
        self.events.append(event)

    def of(self, aggregate_id: str) -> list[int]:
        """The versions that were handled of an aggregate, in their order."""
        return [one.version for one in self.events if one.aggregate_id == aggregate_id]

    def wait(self, count: int) -> None:
        until(lambda: len(self.events) >= count, f"{count} handled")


def until(reached: Callable[[], bool], what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + WITHIN_S
    pause = threading.Event()
    while not reached():
        assert time.monotonic() < deadline, f"not {what}"
        pause.wait(0.02)
