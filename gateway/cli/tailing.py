"""All events in their public shape, past the api: from Kafka to the terminal."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.event_types import contexts_of, full_names
from gateway.json_shapes import event_json
from gateway.settings import Settings
from projections.values import dumps
from streams import topics_admin
from streams.connection import Connection
from streams.event_log import EventLog
from streams.event_store import Selection
from streams.registry import load_registry
from streams.topics import Topics

FROM_NOW = datetime.max.replace(tzinfo=UTC)
"""No event is of this time or later, whatever the clocks say: whoever asks since then begins at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Events of one context or all, of some types or all, from a time or from the first on."""

    context: str | None = None
    types: Sequence[str] = ()
    since: datetime | None = None

    def selection(self) -> Selection:
        """Raises NotFound for a context, Invalid for a type that there is not."""
        contexts = contexts_of(self.context)
        return Selection(contexts, since=self.since, types=full_names(self.types, contexts))


def tailed(
    connection: Connection, settings: Settings, wanted: Wanted, *, live: bool
) -> Generator[dict[str, Any]]:
    """The public shapes in the order of time; live without an end.

    Raises NotFound, Invalid, Unavailable.
    """
    selection = wanted.selection()
    topics = Topics(settings.kafka.prefix)
    partitions = topics_admin.verify(connection, topics)
    codec = load_registry(connection, topics, settings.registry.url).codec()
    log = EventLog(connection, topics, selection, partitions=partitions, live=live)
    with closing(log):
        for record in log:
            yield orjson.loads(dumps(event_json(record, codec)))
