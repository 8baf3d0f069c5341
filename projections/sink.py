"""Rows and checkpoints into PostgreSQL: one transaction for all that waits, then it counts.

    put ──► [changelog flushed] ──► rows + checkpoints + notify, atomic ──► acknowledged

A database that is away is tried again until it is back; nothing is acknowledged meanwhile.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog

from observability.logs import Outage
from projections.checkpoints import CHANNEL, Place, notification
from projections.folding import Entry, Folded
from projections.projection import Projection

log = structlog.get_logger("flexcore.projections")

MAX_QUEUED = 256
MAX_TOGETHER = 64
"""Batches in one transaction: more only makes the first of them wait."""
IDLE_CHECK_S = 2.0
FIRST_RETRY_S, MAX_RETRY_S = 0.1, 5.0

_CHECKPOINT = """
INSERT INTO flexcore.checkpoints AS held (projection, context, "partition", "position")
SELECT * FROM unnest(%s::text[], %s::text[], %s::integer[], %s::bigint[])
ON CONFLICT (projection, context, "partition") DO UPDATE SET "position" = excluded."position"
WHERE held."position" < excluded."position"
"""


@dataclass(frozen=True, slots=True)
class Job:
    """What one batch made; `done` is called once it is stored for good."""

    folded: Sequence[Folded]
    done: Callable[[], None]


class Sink:
    """`flush` is awaited before each transaction, `on_written` told how many rows each held."""

    def __init__(
        self,
        url: str,
        flush: Callable[[], Awaitable[None]],
        on_written: Callable[[str, int], None],
    ) -> None:
        self._url = url
        self._flush = flush
        self._on_written = on_written
        self._queue: asyncio.Queue[Job] = asyncio.Queue(MAX_QUEUED)
        self.connected = False
        self._away = Outage(log, "database_away")

    async def put(self, job: Job) -> None:
        """Hand over a batch; waits while too many are queued."""
        await self._queue.put(job)

    async def drained(self) -> None:
        """Wait until everything handed over is stored."""
        await self._queue.join()

    @property
    def queued(self) -> int:
        """Batches that wait."""
        return self._queue.qsize()

    async def run(self) -> None:
        """Write what is put, for ever. Raises what is no matter of waiting."""
        waiting: list[Job] = []
        pause_s = FIRST_RETRY_S
        while True:
            try:
                async with await self._connect() as connection:
                    self.connected, pause_s = True, FIRST_RETRY_S
                    self._away.is_over()
                    while True:
                        waiting = waiting or await self._next(connection)
                        await self._store(connection, waiting)
                        waiting = []
            except psycopg.OperationalError as error:
                self.connected = False
                self._away.goes_on(what=str(error).strip())
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, MAX_RETRY_S)

    async def checkpoints(self) -> dict[Place, int]:
        """Where each projection stands, asked until the database answers."""
        pause_s = FIRST_RETRY_S
        while True:
            try:
                async with await self._connect() as connection:
                    rows = await connection.execute(
                        'SELECT projection, context, "partition", "position"'
                        " FROM flexcore.checkpoints"
                    )
                    return {(name, ctx, part): at for name, ctx, part, at in await rows.fetchall()}
            except psycopg.OperationalError as error:
                self._away.goes_on(what=str(error).strip())
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, MAX_RETRY_S)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        # Rows and checkpoint are lost together when the server falls before its next fsync, and
        # are read again: what was committed need not wait for the disk.
        return await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=5,
            application_name="flexcore-projector",
            options="-c synchronous_commit=off -c statement_timeout=30000",
        )

    async def _next(self, connection: psycopg.AsyncConnection[Any]) -> list[Job]:
        while self._queue.empty():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_CHECK_S):
                    jobs = [await self._queue.get()]
                    break
            # An idle connection does not notice that its server is gone.
            await connection.execute("SELECT 1")
        else:
            jobs = [self._queue.get_nowait()]
        while len(jobs) < MAX_TOGETHER and not self._queue.empty():
            jobs.append(self._queue.get_nowait())
        return jobs

    async def _store(self, connection: psycopg.AsyncConnection[Any], jobs: list[Job]) -> None:
        await self._flush()
        rows, positions = merged(jobs)
        try:
            await _write(connection, rows, positions)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            log.warning("rows_refused", what=str(error).strip())
            await _write_singly(connection, rows, positions)
        for projection, entries in rows:
            self._on_written(projection.name, len(entries))
        for job in jobs:
            job.done()
            self._queue.task_done()


Rows = Sequence[tuple[Projection, Mapping[str, Entry]]]


def merged(jobs: Sequence[Job]) -> tuple[Rows, dict[Place, int]]:
    """The newest row of each aggregate, and the offset of the last event each place includes."""
    rows: dict[str, tuple[Projection, dict[str, Entry]]] = {}
    positions: dict[Place, int] = {}
    for job in jobs:
        for one in job.folded:
            rows.setdefault(one.projection.name, (one.projection, {}))[1].update(one.rows)
            if one.safe_offset > 0:
                place = one.projection.name, one.projection.context, one.partition
                positions[place] = max(one.safe_offset - 1, positions.get(place, -1))
    return list(rows.values()), positions


async def _write(
    connection: psycopg.AsyncConnection[Any], rows: Rows, positions: Mapping[Place, int]
) -> None:
    async with connection.pipeline(), connection.transaction():
        for projection, entries in rows:
            if entries:
                # Sorted: two projectors that write the same rows must not wait in a circle.
                lines = [projection.columns(key, entries[key].row) for key in sorted(entries)]
                await connection.execute(projection.upsert.encode(), _columns(lines), prepare=True)
        if positions:
            lines = [(*place, at) for place, at in sorted(positions.items())]
            await connection.execute(_CHECKPOINT, _columns(lines), prepare=True)
            notify = [CHANNEL, notification(positions)]
            await connection.execute("SELECT pg_notify(%s, %s)", notify, prepare=True)


def _columns(lines: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*lines, strict=True)]


async def _write_singly(
    connection: psycopg.AsyncConnection[Any], rows: Rows, positions: Mapping[Place, int]
) -> None:
    """Row by row, leaving out what the database refuses, so that one row stops no partition."""
    for projection, entries in rows:
        for key, entry in sorted(entries.items()):
            try:
                await _write(connection, [(projection, {key: entry})], {})
            except (psycopg.DataError, psycopg.IntegrityError):
                log.exception("row_refused", projection=projection.name, key=key)
    await _write(connection, [], positions)
