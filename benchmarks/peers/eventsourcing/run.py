"""The eventsourcing library with its aggregates, on PostgreSQL or SQLite: one application, shared by threads.

PEER_STORE is a PostgreSQL URL or the path of a SQLite file. A command has the repository replay the aggregate;
saving inserts the new event, whose primary key is (aggregate, version).
"""
# pyright: reportMissingImports=false
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
# eventsourcing is installed in this peer's own environment only.

import os
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from benchmarks.peers.closed_loop import Command
from benchmarks.peers.serving import serve_threads, versions_of

# At 32 in flight 1, 2, 4 and 8 threads all did 1,050 to 1,290 commands/s on PostgreSQL: saving locks the table.
POSTGRES_WORKERS = 4
# SQLite has one writer at a time: 1, 2, 4 and 8 threads did 1,310 to 1,780.
SQLITE_WORKERS = 1


class Thing(Aggregate):
    """As small as an aggregate can be: it keeps what it was last told."""

    @event("Created")
    def __init__(self, payload: str) -> None:
        self.payload = payload

    @staticmethod
    def create_id(payload: str) -> UUID:
        """The id that the command names, with which its payload begins."""
        return UUID(payload.partition("/")[0])

    @event("Revised")
    def revise(self, payload: str) -> None:
        """Decide and apply."""
        self.payload = payload


class Things(Application[UUID]):
    """What a command goes through: load, decide, save."""

    def handle(self, task: Command) -> None:
        """Raises `IntegrityError` where the aggregate has that version already."""
        if task.version == 0:
            self.save(Thing(task.payload))
            return
        thing: Thing = self.repository.get(task.aggregate_id)
        if thing.version != task.version:
            raise LookupError(f"version {thing.version} instead of {task.version}")
        thing.revise(task.payload)
        self.save(thing)


def main(store: str) -> None:
    """Serve until stdin ends."""
    on_postgres = store.startswith("postgresql://")
    workers = POSTGRES_WORKERS if on_postgres else SQLITE_WORKERS
    settings = _on_postgres(store, workers) if on_postgres else _on_sqlite(store)
    with Things(settings) as app:
        serve_threads(
            app.handle,
            lambda: _count_postgres(store) if on_postgres else _count_sqlite(store),
            workers=workers,
            client=f"up to {workers} threads, a connection each" if on_postgres else "1 thread",
            versions=versions_of("eventsourcing")
            | (_postgres(store) if on_postgres else {"sqlite": sqlite3.sqlite_version}),
        )


def _on_postgres(url: str, workers: int) -> dict[str, str]:
    parts = urlsplit(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
        # A connection for each thread, so that none waits for one.
        "POSTGRES_POOL_SIZE": str(workers),
        # Its faster way of inserting.
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y",
    }


def _on_sqlite(path: str) -> dict[str, str]:
    return {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": path}


def _postgres(url: str) -> dict[str, str]:
    with psycopg.connect(url) as connection:
        server = connection.info.parameter_status("server_version") or ""
    return versions_of("psycopg") | {"postgresql": server}


def _count_postgres(url: str) -> int:
    with psycopg.connect(url) as connection:
        (events,) = connection.execute("SELECT count(*) FROM things_events").fetchone() or (0,)
    return int(events)


def _count_sqlite(path: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (events,) = connection.execute("SELECT count(*) FROM stored_events").fetchone()
    return int(events)


if __name__ == "__main__":
    main(os.environ["PEER_STORE"])
