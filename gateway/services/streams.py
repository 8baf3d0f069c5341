"""StreamService: the events of one aggregate, as the log has them, now or as they come."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.contexts import CONTEXTS
from domain.errors import Invalid, Limited, NotFound, Unavailable, Unknown
from gateway.event_types import contexts_of, full_names
from gateway.json_shapes import event_json
from gateway.services.asked import Caller, Freshness
from schemas.codec import Codec
from streams.event_store import MAX_READ, AtLeast, EventReader, Place, Selection
from streams.stream_index import is_end

LOOK_FIRST_S = 0.05
LOOK_LAST_S = 0.5
"""A run that makes events is looked at twenty times a second, one of an hour twice."""
MAX_FOLLOWERS = 200
"""Each asks the owner up to twenty times a second."""
MAX_VERSION = 2**62 - 1
MAX_READERS = 4
"""Of all events at once: each is a consumer of its own."""
READ_S = 5.0
"""How long a page of all events may take; where few are of the wanted types it has fewer, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Which events: from and up to a version, of those that were there at the broker time `at`."""

    from_version: int = 1
    to_version: int | None = None
    at: datetime | None = None
    limit: int = MAX_READ


ALL = Piece()


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """Which of all events: of a context, of types, from a time or from where a page before ended."""

    context: str | None = None
    types: Sequence[str] = ()
    since: datetime | None = None
    position: Mapping[Place, int] = field(default_factory=dict)
    limit: int = MAX_READ


@dataclass(frozen=True, slots=True)
class AllEvents:
    """Public shapes in the order of their times; `position` is where the next page begins."""

    items: list[dict[str, Any]]
    position: Mapping[Place, int]
    at_end: bool


@dataclass(frozen=True, slots=True)
class Events:
    """Public shapes in the order of their versions.

    `version` is the aggregate's last one, at a time the last one then.
    """

    items: list[dict[str, Any]]
    version: int
    next_version: int | None
    ended: bool = False


def _at_least(freshness: Freshness | None) -> AtLeast | None:
    return None if freshness is None else AtLeast(freshness.position, freshness.wait_s)


class StreamService:
    """Reads are strongly consistent: the owner of the aggregate answers.

    At a position that the caller states, any worker that has read so far.
    """

    def __init__(
        self,
        store: EventReader,
        codec: Codec,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._codec = codec
        self._sleep = sleep
        self._followers = 0
        self._readers = 0

    async def events(
        self,
        caller: Caller,
        context: str,
        local_id: str,
        piece: Piece = ALL,
        freshness: Freshness | None = None,
    ) -> Events:
        """Raises NotFound, Invalid for numbers out of range, Unavailable, Unknown."""
        if context not in CONTEXTS:
            known = ", ".join(CONTEXTS)
            raise NotFound(
                "aggregate.not_found", f"there is no context {context[:80]!r}; known: {known}"
            )
        versions = piece.from_version, 1 if piece.to_version is None else piece.to_version
        if not (all(1 <= n <= MAX_VERSION for n in versions) and 1 <= piece.limit <= MAX_READ):
            raise Invalid("query.invalid", f"versions start at 1, limit is 1 to {MAX_READ}")
        found = await self._store.read(
            context,
            caller.known_id(context, local_id),
            piece.from_version,
            piece.limit,
            to_version=piece.to_version,
            at=piece.at,
            at_least=_at_least(freshness),
        )
        items = [event_json(event, self._codec) for event in found.events]
        last = found.version if piece.to_version is None else min(found.version, piece.to_version)
        after = found.events[-1].version + 1 if found.events else None
        return Events(
            items,
            found.version,
            after if after is not None and after <= last else None,
            ended=bool(found.events) and is_end(found.events[-1].type),
        )

    async def has_ended(self, caller: Caller, context: str, local_id: str, version: int) -> bool:
        """Whether nothing follows this version. Raises as `events`."""
        found = await self.events(caller, context, local_id, Piece(from_version=version, limit=1))
        return found.ended

    async def follow(
        self, caller: Caller, context: str, local_id: str, after: int
    ) -> AsyncGenerator[Events]:
        """The events behind a version as they come, up to one that nothing follows.

        What is yielded without items only says that we are still there. Raises as `events` at the
        first read, and Limited where too many follow already; later on a store that is away is
        waited for.
        """
        if self._followers >= MAX_FOLLOWERS:
            raise Limited(
                "request.too_many",
                f"{MAX_FOLLOWERS} streams are followed already; try again in a moment",
            )
        self._followers += 1
        try:
            found = await self._behind(caller, context, local_id, after)
            pause_s = LOOK_FIRST_S
            while True:
                yield found
                if found.ended:
                    return
                if found.items:
                    after, pause_s = after + len(found.items), LOOK_FIRST_S
                await self._sleep(pause_s)
                pause_s = min(pause_s * 1.5, LOOK_LAST_S)
                try:
                    found = await self._behind(caller, context, local_id, after)
                except (Unavailable, Unknown):
                    found = Events([], after, None)
        finally:
            self._followers -= 1

    async def _behind(self, caller: Caller, context: str, local_id: str, version: int) -> Events:
        return await self.events(caller, context, local_id, Piece(from_version=version + 1))

    async def everything(self, caller: Caller, wanted: Everything) -> AllEvents:
        """A page of the caller's events of all aggregates, read from the log.

        Raises NotFound for a context, Invalid for a type or a number out of range, Limited where
        too many read already, Unavailable.
        """
        if not 1 <= wanted.limit <= MAX_READ:
            raise Invalid("query.invalid", f"limit is {wanted.limit}; it must be 1 to {MAX_READ}")
        contexts = contexts_of(wanted.context)
        types = full_names(wanted.types, contexts)
        if self._readers >= MAX_READERS:
            raise Limited(
                "request.too_many",
                f"{MAX_READERS} clients read all events already; try again in a moment",
            )
        feed = self._store.read_all(Selection(contexts, wanted.since, wanted.position, types))
        self._readers += 1
        items: list[dict[str, Any]] = []
        at_end = False
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(READ_S):
                    async for event in feed:
                        if caller.owns(event.aggregate_id):
                            items.append(event_json(event, self._codec))
                            if len(items) == wanted.limit:
                                break
                    else:
                        at_end = True
        finally:
            self._readers -= 1
            await feed.aclose()
        if not (at_end or feed.position):
            raise Unavailable("broker.unavailable", "the log could not be read; try again")
        return AllEvents(items, feed.position, at_end)
