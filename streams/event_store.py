"""The event store (port): the events of an aggregate in the order of their versions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.errors import NotFound
from streams.records import EventRecord

MAX_READ = 1_000
"""Events per read; 1,000 events of the usual 250 bytes are answered in one piece of 256 KiB."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Events of one aggregate without a gap; `version` is that of its last event, read or not."""

    version: int
    events: Sequence[EventRecord]


class EventStore(Protocol):
    """What every adapter promises stands in tests/contracts/event_store.py."""

    async def read(
        self, context: str, aggregate_id: str, from_version: int = 1, limit: int = MAX_READ
    ) -> Slice:
        """The events from `from_version` on, `limit` at most.

        Raises NotFound where the aggregate has no events, Unavailable where its owner is away.
        """
        ...


def no_such_aggregate(context: str, aggregate_id: str) -> NotFound:
    """What `read` raises for an aggregate without events."""
    return NotFound(
        "aggregate.not_found",
        f"there is no {context} {aggregate_id!r}; ids are listed under /v1/{context}s",
        context=context,
        aggregate_id=aggregate_id,
    )
