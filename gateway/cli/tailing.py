"""All events in their public shape, past the api: from Kafka to the terminal."""

from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from domain.contexts import CONTEXTS
from domain.errors import Invalid, NotFound
from gateway.json_shapes import event_json
from gateway.settings import Settings
from projections.values import dumps
from schemas import catalogue
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
        contexts = _contexts(self.context)
        return Selection(contexts, since=self.since, types=_full_names(self.types, contexts))


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


def _contexts(wanted: str | None) -> list[str]:
    if wanted is None:
        return list(CONTEXTS)
    if wanted not in CONTEXTS:
        known = ", ".join(CONTEXTS)
        raise NotFound("aggregate.not_found", f"there is no context {wanted!r}; known: {known}")
    return [wanted]


def _full_names(types: Sequence[str], contexts: Collection[str]) -> list[str]:
    events = [cls for context in contexts for cls in CONTEXTS[context].events]
    full_names = {cls.__name__: catalogue.full_names()[cls] for cls in events}
    known = full_names | {full: full for full in full_names.values()}
    unknown = [name for name in types if name not in known]
    if unknown:
        names = ", ".join(full_names)
        raise Invalid("query.invalid", f"there is no event {unknown[0][:80]!r}; known: {names}")
    return [known[name] for name in types]
