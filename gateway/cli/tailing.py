"""Events as they are committed, in their public shape, past the api: from Kafka to the terminal."""

from collections.abc import Iterator
from typing import Any

import orjson

from domain.contexts import CONTEXTS
from domain.errors import NotFound
from gateway.json_shapes import event_json
from gateway.settings import Settings
from projections.values import dumps
from streams import topics_admin
from streams.connection import Connection
from streams.event_tail import tail
from streams.registry import load_registry
from streams.topics import Topics


def tailed(
    connection: Connection, settings: Settings, *, context: str | None, from_start: bool
) -> Iterator[dict[str, Any]]:
    """The public shapes of events, without an end. Raises NotFound, Unavailable."""
    contexts = _contexts(context)
    topics = Topics(settings.kafka.prefix)
    partitions = topics_admin.verify(connection, topics)
    codec = load_registry(connection, topics, settings.registry.url).codec()
    for record in tail(connection, topics, contexts, partitions=partitions, from_start=from_start):
        yield orjson.loads(dumps(event_json(record, codec)))


def _contexts(wanted: str | None) -> list[str]:
    if wanted is None:
        return list(CONTEXTS)
    if wanted not in CONTEXTS:
        known = ", ".join(CONTEXTS)
        raise NotFound("aggregate.not_found", f"there is no context {wanted!r}; known: {known}")
    return [wanted]
