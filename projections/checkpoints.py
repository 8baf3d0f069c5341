"""Waiting until a read model has come as far as a position: heard by LISTEN, read from the table.

projector: rows + checkpoint + NOTIFY, atomic ──► here: who waits for less goes on
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg
import structlog

from domain.errors import Unknown
from observability.logs import Outage
from projections.handlers import PROJECTIONS
from streams.positions import Position, position_text

log = structlog.get_logger("flexcore.projections")

CHANNEL = "flexcore_checkpoint"
MAX_NOTIFICATION = 7_000
"""PostgreSQL takes 8,000 bytes; with more partitions than fit, listeners read the table."""
REREAD_S = 5.0
RETRY_S = 0.5

Place = tuple[str, str, int]
"""(projection, context, partition)."""


def notification(positions: Mapping[Place, int]) -> str:
    """`executions execution 3 12345;…`, or nothing where that is too long."""
    text = ";".join(f"{name} {ctx} {part} {at}" for (name, ctx, part), at in positions.items())
    return text if len(text) <= MAX_NOTIFICATION else ""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    needs: Mapping[Place, int]
    reached: asyncio.Future[None]


class Checkpoints:
    """Knows how far each projection is while it is entered; one connection, one task."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._known: dict[Place, int] = {}
        self._waiters: set[_Waiter] = set()
        self._task: asyncio.Task[None] | None = None
        self._away = Outage(log, "database_away")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen(), name="checkpoints")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def wait_for(self, projection: str, position: Position, timeout_s: float) -> None:
        """Return once the projection includes `position`, as far as it reads those contexts.

        Raises Unknown (`read_model.behind`) when that takes longer than `timeout_s` seconds.
        """
        reads = PROJECTIONS[projection].context
        needs = {
            (projection, context, partition): offset
            for (context, partition), offset in position.items()
            if context == reads
        }
        if self._includes(needs):
            return
        waiter = _Waiter(needs, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter.reached
        except TimeoutError:
            raise Unknown(
                "read_model.behind",
                f"{projection} has not come to {position_text(position)} within {timeout_s:g} s; "
                "ask again in a moment",
            ) from None
        finally:
            self._waiters.discard(waiter)

    def _includes(self, needs: Mapping[Place, int]) -> bool:
        return all(self._known.get(place, -1) >= offset for place, offset in needs.items())

    async def _listen(self) -> None:
        while True:
            try:
                await self._follow()
            except psycopg.Error as error:
                self._away.goes_on(what=str(error).strip())
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        connecting = psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=5, application_name="flexcore-checkpoints"
        )
        async with await connecting as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            self._away.is_over()
            while True:
                self._learn(await _read(connection))
                # Until a notification says too little, or for a while: the table is the truth.
                async for heard in connection.notifies(timeout=REREAD_S):
                    positions = _parse(heard.payload)
                    if not positions:
                        break
                    self._learn(positions)

    def _learn(self, positions: Mapping[Place, int]) -> None:
        # The table is taken as it is, downwards too: a database that fell may have lost the tail.
        self._known.update(positions)
        for waiter in list(self._waiters):
            if self._includes(waiter.needs) and not waiter.reached.done():
                waiter.reached.set_result(None)


async def _read(connection: psycopg.AsyncConnection[Any]) -> dict[Place, int]:
    rows = await connection.execute(
        'SELECT projection, context, "partition", "position" FROM flexcore.checkpoints'
    )
    return {(name, ctx, part): at for name, ctx, part, at in await rows.fetchall()}


def _parse(payload: str) -> dict[Place, int]:
    """What a notification says; one that is empty or somebody else's says nothing."""
    found: dict[Place, int] = {}
    try:
        for part in payload.split(";"):
            name, context, partition, offset = part.split(" ")
            found[name, context, int(partition)] = int(offset)
    except ValueError:
        return {}
    return found
