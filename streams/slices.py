"""Cuts a piece out of one aggregate's events: by version, or as it stood at a time."""

import asyncio
import time
from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime

from streams.event_store import MAX_READ, AtLeast, Place, Slice, no_such_aggregate, not_read_yet
from streams.stream_index import StreamIndex
from streams.times import begun_ms
from streams.topics import partition_of

LOOK_S = 0.01
"""How often an index is looked at that is waited for."""
MOVED = 16
"""Events in a row that may be copies written again, at a later time than their successors'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Versions `from_version` to `to_version`, of those that were there at broker time `at_ms`."""

    from_version: int = 1
    limit: int = MAX_READ
    to_version: int | None = None
    at_ms: int | None = None


def slice_of(index: StreamIndex, context: str, aggregate_id: str, cut: Cut) -> Slice:
    """The piece of an aggregate that `cut` means. Raises NotFound for one without events."""
    last = index.last_version(context, aggregate_id)
    if last == 0:
        raise no_such_aggregate(context, aggregate_id)
    if cut.at_ms is not None:
        last = version_at(index, context, aggregate_id, cut.at_ms)
    first = max(cut.from_version, 1)
    end = last if cut.to_version is None else min(last, cut.to_version)
    count = min(end - first + 1, cut.limit)
    found = index.events(context, aggregate_id, first, count) if count > 0 else ()
    return Slice(last, tuple(found))


def version_at(index: StreamIndex, context: str, aggregate_id: str, at_ms: int) -> int:
    """The version of the last event whose record is of `at_ms` or before, 0 where none is.

    By halves: 20 looks into an aggregate of a million events.
    """

    def is_later(version: int) -> bool:
        behind = index.events(context, aggregate_id, version, MOVED)
        return all(event.timestamp_ms > at_ms for event in behind)

    last = index.last_version(context, aggregate_id)
    return bisect_left(range(1, last + 1), True, key=is_later)


class IndexReads:
    """`read` of the event store, for adapters that have an index at hand."""

    _index: StreamIndex
    _partitions: int

    async def read(
        self,
        context: str,
        aggregate_id: str,
        from_version: int = 1,
        limit: int = MAX_READ,
        *,
        to_version: int | None = None,
        at: datetime | None = None,
        at_least: AtLeast | None = None,
    ) -> Slice:
        if at_least is not None:
            place = context, partition_of(aggregate_id, self._partitions)
            await self._read_to(place, at_least)
        cut = Cut(
            from_version=from_version,
            limit=limit,
            to_version=to_version,
            at_ms=None if at is None else begun_ms(at),
        )
        return slice_of(self._index, context, aggregate_id, cut)

    async def _read_to(self, place: Place, at_least: AtLeast) -> None:
        offset = at_least.position.get(place, -1)
        deadline = time.monotonic() + at_least.wait_s
        while self._index.position(*place) <= offset:
            if time.monotonic() > deadline:
                raise not_read_yet(place, at_least)
            await asyncio.sleep(LOOK_S)
