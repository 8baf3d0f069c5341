"""Events straight from their topics, in the order in which this reader gets them, without an end.

all partitions, assigned, read_committed; order is certain within an aggregate
"""

import time
from collections.abc import Collection, Iterator
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, Message, TopicPartition

from domain.errors import Unavailable
from streams.connection import Connection
from streams.records import EventRecord, event_record
from streams.topics import Topics

log = structlog.get_logger("flexcore.tail")

_POLL_S = 0.1
_AWAY_S = 10.0
"""A broker that restarts is back within 3 s; a reader that waits for ever tells nobody."""


def tail(
    connection: Connection,
    topics: Topics,
    contexts: Collection[str],
    *,
    partitions: int,
    from_start: bool,
) -> Iterator[EventRecord]:
    """Every event of `contexts` from the first or from now on. Raises Unavailable."""
    names = {topics.events(context): context for context in contexts}
    begin = OFFSET_BEGINNING if from_start else OFFSET_END
    consumer = Consumer(
        connection.client(
            # librdkafka demands a group; none is joined and nothing is committed.
            group_id=f"{topics.prefix}-tail",
            enable_auto_commit=False,
            isolation_level="read_committed",
        )
    )
    try:
        consumer.assign([TopicPartition(t, p, begin) for t in names for p in range(partitions)])
        for message in _messages(consumer):
            record = _record(message, names)
            if record is not None:
                yield record
    finally:
        consumer.close()


def _messages(consumer: Consumer) -> Iterator[Message]:
    broken_since: float | None = None
    while True:
        message = consumer.poll(_POLL_S)
        if message is None:
            continue
        error = message.error()
        if error is None:
            broken_since = None
            yield message
            continue
        broken_since = broken_since or time.monotonic()
        if error.fatal() or time.monotonic() - broken_since > _AWAY_S:
            raise Unavailable("broker.unavailable", f"Kafka is away: {error.str()}")


def _record(message: Message, names: dict[str, str]) -> EventRecord | None:
    """The record of a message, `None` (and a warning) for what is no event of ours."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    headers: Any = message.headers()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    try:
        return event_record(
            names[topic],
            partition,
            offset,
            message.timestamp()[1],
            message.key() or b"",
            message.value(),
            headers,
        )
    except ValueError as error:
        log.warning(
            "event_passed_over", topic=topic, partition=partition, offset=offset, what=str(error)
        )
        return None
