"""Events straight from their topics, in the order in which this reader gets them.

all partitions, assigned, read_committed; order is certain within an aggregate
"""

import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, Message, TopicPartition

from domain.contexts import CONTEXTS
from domain.errors import NotFound, Unavailable
from gateway.cli.output import tell
from gateway.json_shapes import event_json
from gateway.settings import Settings
from schemas.codec import Codec
from streams import topics_admin
from streams.connection import Connection
from streams.records import event_record
from streams.registry import load_registry
from streams.topics import Topics

_POLL_S = 0.1
_AWAY_S = 10.0


def tailed(
    connection: Connection, settings: Settings, *, context: str | None, from_start: bool
) -> Iterator[dict[str, Any]]:
    """The public shapes of events, without an end. Raises NotFound, Unavailable."""
    contexts = _contexts(context)
    topics = Topics(settings.kafka.prefix)
    partitions = topics_admin.verify(connection, topics)
    codec = load_registry(connection, topics, settings.registry.url).codec()
    names = {topics.events(one): one for one in contexts}
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
        yield from _events(consumer, names, codec)
    finally:
        consumer.close()


def _contexts(wanted: str | None) -> list[str]:
    if wanted is None:
        return list(CONTEXTS)
    if wanted not in CONTEXTS:
        known = ", ".join(CONTEXTS)
        raise NotFound("aggregate.not_found", f"there is no context {wanted!r}; known: {known}")
    return [wanted]


def _events(consumer: Consumer, names: dict[str, str], codec: Codec) -> Iterator[dict[str, Any]]:
    broken_since: float | None = None
    while True:
        message = consumer.poll(_POLL_S)
        if message is None:
            continue
        error = message.error()
        if error is None:
            broken_since = None
            shape = _shape(message, names, codec)
            if shape is not None:
                yield shape
            continue
        broken_since = broken_since or time.monotonic()
        if error.fatal() or time.monotonic() - broken_since > _AWAY_S:
            raise Unavailable("broker.unavailable", f"Kafka is away: {error.str()}")


def _shape(message: Message, names: dict[str, str], codec: Codec) -> dict[str, Any] | None:
    """The public shape; `None` (and a message) for what is no event of ours."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    headers: Any = message.headers()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    try:
        record = event_record(
            names[topic],
            partition,
            offset,
            message.timestamp()[1],
            message.key() or b"",
            message.value(),
            headers,
        )
    except ValueError as error:
        tell(f"passed over {topic}/{partition}@{offset}: {error}")
        return None
    return _plain(event_json(record, codec))


def _plain(shape: dict[str, Any]) -> dict[str, Any]:
    import orjson

    from projections.values import dumps

    found: dict[str, Any] = orjson.loads(dumps(shape))
    return found
