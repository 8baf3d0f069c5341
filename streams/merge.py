"""Merges the events of many places into one order, as far as it is certain.

place 0  ▪ ▪ ▪ ▪     ┐
place 1  ▪ ▪         ├─► the earliest (timestamp, partition, offset, context), over and over
place 2  (awaited)   ┘   until a place has nothing here that may still give an earlier one

Within a place the order of offsets holds, whatever a clock that was set back made of the times.
"""

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush, heapreplace

from streams.event_store import Place
from streams.records import EventRecord


class Merge:
    """Knows only the places' next events, so that whoever goes on later gets the same order."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._waiting: dict[Place, deque[EventRecord]] = {place: deque() for place in places}
        self._awaited = set(self._waiting)
        self._ended: set[Place] = set()
        self._heads: list[tuple[int, int, int, str]] = []

    def add(self, place: Place, events: Iterable[EventRecord]) -> None:
        """Take a place's next events, in the order of their offsets."""
        waiting = self._waiting[place]
        was_empty = not waiting
        waiting.extend(events)
        if was_empty and waiting:
            self._awaited.discard(place)
            heappush(self._heads, _order(waiting[0]))

    def end(self, place: Place) -> None:
        """Wait for this place no longer; what it gives nevertheless is merged as it comes."""
        self._ended.add(place)
        self._awaited.discard(place)

    def length(self, place: Place) -> int:
        """How many events of a place wait here."""
        return len(self._waiting[place])

    @property
    def at_end(self) -> bool:
        """Whether every place has ended and nothing waits here."""
        return not self._heads and len(self._ended) == len(self._waiting)

    def take(self, limit: int) -> list[EventRecord]:
        """The next events, as many as are certain, at most `limit`."""
        taken: list[EventRecord] = []
        heads = self._heads
        while heads and not self._awaited and len(taken) < limit:
            _, partition, _, context = heads[0]
            place = context, partition
            waiting = self._waiting[place]
            taken.append(waiting.popleft())
            if waiting:
                heapreplace(heads, _order(waiting[0]))
                continue
            heappop(heads)
            if place not in self._ended:
                self._awaited.add(place)
        return taken


def _order(event: EventRecord) -> tuple[int, int, int, str]:
    return event.timestamp_ms, event.partition, event.offset, event.context
