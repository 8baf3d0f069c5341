"""eventsource-py with its aggregates, on PostgreSQL or SQLite: tasks of one event loop (uvloop).

PEER_STORE is a PostgreSQL URL or the path of a SQLite file. A command has the repository replay the aggregate;
saving appends with the exact version that was loaded.
"""
# pyright: reportMissingImports=false
# mypy: disable-error-code="import-not-found,misc"
# eventsource-py is installed in this peer's own environment only.

import asyncio
import os
import sqlite3

import aiosqlite
import asyncpg
import uvloop
from eventsource import (
    AggregateRepository,
    AggregateRoot,
    DomainEvent,
    PostgreSQLEventStore,
    SQLiteEventStore,
    create_async_engine,
    register_event,
)
from pydantic import BaseModel

from benchmarks.peers.closed_loop import Command
from benchmarks.peers.serving import serve_tasks, versions_of

# At 32 in flight 2, 4, 8 and 16 tasks did 480 to 700 commands/s, 16 the most.
POSTGRES_WORKERS = 16
# Its SQLite store has one connection and one lock.
SQLITE_WORKERS = 1


@register_event
class Revised(DomainEvent):
    """The one kind of event."""

    aggregate_type: str = "Thing"
    payload: str


class ThingState(BaseModel):
    """What the aggregate was last told."""

    payload: str = ""


class Thing(AggregateRoot[ThingState]):
    """As small as an aggregate can be."""

    aggregate_type = "Thing"

    def _get_initial_state(self) -> ThingState:
        return ThingState()

    def _apply(self, event: DomainEvent) -> None:
        self._state = ThingState(payload=event.payload)

    def revise(self, payload: str) -> None:
        """Decide and apply."""
        version = self.get_next_version()
        self.apply_event(
            Revised(aggregate_id=self.aggregate_id, aggregate_version=version, payload=payload)
        )


def main(store: str) -> None:
    """Serve until stdin ends."""
    on_postgres = store.startswith("postgresql://")
    workers = POSTGRES_WORKERS if on_postgres else SQLITE_WORKERS
    events = _on_postgres(store, workers) if on_postgres else SQLiteEventStore(store)
    repository = AggregateRepository(events, Thing, enable_tracing=False)

    async def command(task: Command) -> None:
        thing = (
            await repository.load(task.aggregate_id) if task.version else Thing(task.aggregate_id)
        )
        if thing.version != task.version:
            raise LookupError(f"version {thing.version} instead of {task.version}")
        thing.revise(task.payload)
        await repository.save(thing)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        serve_tasks(
            runner,
            command,
            lambda: _count_postgres(store) if on_postgres else _count_sqlite(store),
            workers=workers,
            client=f"up to {workers} tasks, a connection each" if on_postgres else "1 task",
            versions=versions_of("eventsource-py")
            | (runner.run(_postgres(store)) if on_postgres else _sqlite()),
        )
        runner.run(events.close())


def _on_postgres(url: str, workers: int) -> PostgreSQLEventStore:
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://", 1),
        # A connection for each task, so that none waits for one.
        pool_size=workers,
        max_overflow=0,
    )
    return PostgreSQLEventStore(engine, create_schema=True, owns_engine=True)


async def _postgres(url: str) -> dict[str, str]:
    connection = await asyncpg.connect(url)
    try:
        server = str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()
    return versions_of("asyncpg") | {"postgresql": server}


def _sqlite() -> dict[str, str]:
    return versions_of("aiosqlite") | {"sqlite": sqlite3.sqlite_version}


async def _count_postgres(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM events"))
    finally:
        await connection.close()


async def _count_sqlite(path: str) -> int:
    async with (
        aiosqlite.connect(path) as connection,
        connection.execute("SELECT count(*) FROM events") as found,
    ):
        return int((await found.fetchone())[0])


if __name__ == "__main__":
    main(os.environ["PEER_STORE"])
