"""The event store (port): events by aggregate, and all of them in the order of their time.

read      one aggregate, by versions or as it stood at a time
read_all  everything, by (timestamp, partition, offset); resumable, bounded or live
append    decided events of several aggregates of one partition, all or none
"""

import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from domain.errors import NotFound, Unknown
from streams.records import ANY, EventRecord, ExpectedVersion

MAX_READ = 1_000
"""Events per read; 1,000 events of the usual 250 bytes are answered in one piece of 256 KiB."""

Place = tuple[str, int]
"""(context, partition)."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Events of one aggregate without a gap.

    `version` is that of its last event, read or not; at a time, that of its last event then.
    """

    version: int
    events: Sequence[EventRecord]


@dataclass(frozen=True, slots=True)
class AtLeast:
    """What a read must include, waited for up to `wait_s` seconds.

    Whoever has read so far may answer, where without it the owner must. A position that does not
    name the aggregate's partition asks for nothing.
    """

    position: Mapping[Place, int]
    wait_s: float


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events `read_all` gives: from a time or from a position on, of some types or all.

    `position` holds the next offset of each place (what an `EventFeed` says of itself); places
    that it does not name begin at `since`, or at their first event. `types` are full names
    (`flexcore.pipeline.PipelineCreated`).
    """

    contexts: Collection[str] = ()
    since: datetime | None = None
    position: Mapping[Place, int] = field(default_factory=dict)
    types: Collection[str] = ()

    def takes(self, event: EventRecord) -> bool:
        """Whether the event is of a type that is wanted."""
        return not self.types or event.type in self.types


class EventFeed(Protocol):
    """All events of a selection, once, in the order of (timestamp, partition, offset).

    It reads the log, not aggregates: an event that was written again stands where its last copy
    stands, behind its successors. Who folds orders by version (streams/tailer.py has the rule).
    """

    @property
    def position(self) -> Mapping[Place, int]:
        """Where to go on: the next offset of each place, as far as events were given."""
        ...

    def __aiter__(self) -> AsyncIterator[EventRecord]:
        """Goes on where the iteration before it was left, by one reader at a time."""
        ...

    async def aclose(self) -> None:
        """Give back what it holds; needed unless it was read to its end."""
        ...


class EventReader(Protocol):
    """What every adapter promises stands in tests/contracts/event_store_contract.py."""

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
        """The events from `from_version` on, up to `to_version` or to the broker time `at`.

        At a time before its first event an aggregate has version 0 and no events.
        Raises NotFound where the aggregate has no events, Unavailable where its owner is away,
        Unknown where nobody has read as far as `at_least`.
        """
        ...

    def read_all(self, selection: Selection, *, live: bool = False) -> EventFeed:
        """Everything up to the end that is true now; `live` goes on with what comes.

        Live, the order across partitions holds for what is visible at the same moment: a
        transaction that commits late shows events of an earlier time.
        Iterating raises Unavailable where the broker stays away, Invalid for a position beyond
        the end.
        """
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """One aggregate's part of an append; without events it is a condition alone."""

    aggregate_id: str
    events: Sequence[Any] = ()
    expected: ExpectedVersion = ANY


@dataclass(frozen=True, slots=True)
class Appended:
    """The versions of each aggregate's new events, and where the last event stands."""

    versions: Mapping[str, Sequence[int]]
    position: str


class EventStore(EventReader, Protocol):
    """A reader that can also write, where the aggregates' owner is this process."""

    async def append(
        self, context: str, parts: Sequence[Part], *, append_id: uuid.UUID
    ) -> Appended:
        """Append decided events, all or none; the same `append_id` takes effect once.

        Returns when the events were read back. Raises VersionConflict where a condition does not
        hold, Invalid where the parts do not share a partition, Unavailable where another worker
        owns it.
        """
        ...


def not_read_yet(place: Place, at_least: AtLeast) -> Unknown:
    """What `read` raises where nobody has come to a position in time."""
    return Unknown(
        "read_model.behind",
        f"events of {place[0]}/{place[1]} up to offset {at_least.position[place]} were not there "
        f"within {at_least.wait_s:g} s; ask again, or wait longer with Prefer: wait=N",
    )


def no_such_aggregate(context: str, aggregate_id: str) -> NotFound:
    """What `read` raises for an aggregate without events."""
    return NotFound(
        "aggregate.not_found",
        f"there is no {context} {aggregate_id!r}; ids are listed under /v1/{context}s",
        context=context,
        aggregate_id=aggregate_id,
    )
