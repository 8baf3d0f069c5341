"""All events of a memory event store, merged like those of the topics."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from domain.contexts import CONTEXTS
from domain.errors import Invalid
from streams.event_store import Place, Selection
from streams.merge import Merge
from streams.records import EventRecord
from streams.times import first_ms

Log = Mapping[Place, Sequence[EventRecord]]
"""Each place's events in the order of their offsets."""


class MemoryEventFeed:
    """Over `log`; live it waits for `grown`, which whoever appends sets."""

    def __init__(self, log: Log, selection: Selection, grown: asyncio.Event | None) -> None:
        contexts = selection.contexts or CONTEXTS
        self._log = {place: log[place] for place in log if place[0] in contexts}
        self._selection = selection
        self._grown = grown
        self._merge = Merge(self._log)
        self._position = dict(selection.position)
        self._next: dict[Place, int] = {}
        self._closed = False

    @property
    def position(self) -> Mapping[Place, int]:
        return dict(self._position)

    async def __aiter__(self) -> AsyncIterator[EventRecord]:
        if not self._next:
            self._begin()
        while not self._closed:
            while taken := self._merge.take(1):
                event = taken[0]
                self._position[event.context, event.partition] = event.offset + 1
                if self._selection.takes(event):
                    yield event
            if self._grown is None:
                return
            await self._grown.wait()
            self._grown.clear()
            self._add()

    async def aclose(self) -> None:
        self._closed = True
        if self._grown is not None:
            self._grown.set()

    def _begin(self) -> None:
        """Raises Invalid for a position beyond the end."""
        for place, events in self._log.items():
            end = events[-1].offset + 1 if events else 0
            start = self._start(place, end)
            self._position[place] = start
            self._next[place] = sum(event.offset < start for event in events)
            self._merge.end(place)
        self._add()

    def _start(self, place: Place, end: int) -> int:
        since = self._selection.since
        given = self._selection.position.get(place)
        if given is not None and given > end:
            raise Invalid("query.invalid", f"position {given} of {place} is beyond its end, {end}")
        if given is not None:
            return given
        if since is None:
            return 0
        at_ms = first_ms(since)
        later = (e.offset for e in self._log[place] if e.timestamp_ms >= at_ms)
        return next(later, end)

    def _add(self) -> None:
        for place, events in self._log.items():
            self._merge.add(place, events[self._next[place] :])
            self._next[place] = len(events)
