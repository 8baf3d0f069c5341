"""Rows brought into PostgreSQL by the sink alone, without Kafka."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from projections.folding import Entry, Folded
from projections.projection import Projection
from projections.sink import Job, Sink


async def flushed() -> None:
    """There is no changelog."""


def ignored(name: str, rows: int) -> None:
    """Nobody counts."""


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[Sink]:
    """A sink that writes to the database at `url`."""
    sink = Sink(url, flushed, ignored)
    task = asyncio.create_task(sink.run())
    try:
        yield sink
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def job(
    projection: Projection, rows: Mapping[str, Any], *, partition: int = 0, position: int = 0
) -> Job:
    """A batch that made `rows` and ended at `position`."""
    entries = {key: Entry(row, f"{projection.context}/0@0") for key, row in rows.items()}
    after = position + 1
    return Job([Folded(projection, partition, entries, after, after, ())], lambda: None)


async def store(url: str, *jobs: Job) -> None:
    """Write the jobs and return."""
    async with writing(url) as sink:
        for one in jobs:
            await sink.put(one)
        await sink.drained()
