"""Reads that know how fresh they are: a client sees its own writes, or is told to wait."""

from dataclasses import dataclass
from typing import Any

from domain.errors import FlexCoreError, NotFound, Unavailable, Unknown
from gateway.services.asked import Freshness
from streams.answers import Answer
from streams.positions import Position, parse_position
from streams.query_bus import QueryBus

READ_OWN_WRITE_S = 2.0
"""How long a write waits for the read model, which follows within 60 ms (p99) unless it is away."""


@dataclass(frozen=True, slots=True)
class ReadModelAt:
    """Asks that read model `projection` has come to `position`. Raises Unknown, Unavailable."""

    projection: str
    position: Position
    wait_s: float


@dataclass(frozen=True, slots=True)
class Written:
    """An accepted write; `shape` is what came of it, `None` where the read model is late."""

    answer: Answer
    shape: dict[str, Any] | None

    @property
    def version(self) -> int | None:
        """The aggregate's version as the answer shows it, `None` where only the log knows it."""
        if self.shape is not None:
            return int(self.shape["version"])
        return self.answer.versions[-1] if self.answer.versions else None


class ReadModel:
    """One projection behind the query bus; `context` is whose events it folds."""

    def __init__(self, queries: QueryBus, projection: str, context: str) -> None:
        self._queries = queries
        self._projection = projection
        self._context = context

    async def ask(self, query: object, freshness: Freshness | None = None) -> Any:
        """The answer to `query`, never older than `freshness`. Raises Unknown, Unavailable."""
        if freshness is not None:
            await self._reach(freshness.position, freshness.wait_s)
        return await self._queries.ask(query)

    async def written(self, answer: Answer, query: object, wait_s: float | None) -> Written:
        """What `query` shows once `answer`'s events are in it; the write itself stands anyway."""
        try:
            limit = READ_OWN_WRITE_S if wait_s is None else wait_s
            await self._reach(parse_position(answer.position), limit)
            return Written(answer, await self._queries.ask(query))
        except (Unknown, Unavailable, NotFound) as error:
            if not _is_late(error):
                raise
            return Written(answer, None)

    async def _reach(self, position: Position, wait_s: float) -> None:
        # Another context's events are in another read model.
        ours = {place: at for place, at in position.items() if place[0] == self._context}
        if ours:
            await self._queries.ask(ReadModelAt(self._projection, ours, wait_s))


def _is_late(error: FlexCoreError) -> bool:
    # NotFound: a repeated answer about an aggregate that the read model has not seen yet.
    return isinstance(error, NotFound) or error.code in (
        "read_model.behind",
        "database.unavailable",
    )
