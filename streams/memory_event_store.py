"""An event store in memory, for tests and for trying things out."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from streams.event_store import MAX_READ, Slice, no_such_aggregate
from streams.records import EventRecord


class MemoryEventStore:
    """Keeps the rules of the log: versions are 1 … n, a version that is there is not replaced."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, str], list[EventRecord]] = {}
        self._offsets = count()

    def next_offset(self) -> int:
        """Where the next event will stand; all partitions share one count."""
        return next(self._offsets)

    def version(self, context: str, aggregate_id: str) -> int:
        """The version of the last event, 0 where there is none."""
        return len(self._events.get((context, aggregate_id), ()))

    def everything(self) -> Mapping[tuple[str, str], Sequence[EventRecord]]:
        """All events by (context, aggregate id)."""
        return self._events

    def append(self, events: Iterable[EventRecord]) -> None:
        """Append events, each with the next version of its aggregate. Raises ValueError."""
        for event in events:
            known = self._events.setdefault((event.context, event.aggregate_id), [])
            if event.version != len(known) + 1:
                raise ValueError(f"{event.aggregate_id} is at {len(known)}, not {event.version}")
            known.append(event)

    async def read(
        self, context: str, aggregate_id: str, from_version: int = 1, limit: int = MAX_READ
    ) -> Slice:
        known = self._events.get((context, aggregate_id))
        if not known:
            raise no_such_aggregate(context, aggregate_id)
        first = max(from_version, 1) - 1
        return Slice(len(known), tuple(known[first : first + limit]))
