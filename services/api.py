"""The api process: settings → checked topics → buses → REST, until told to end.

exit 0 on SIGTERM or SIGINT · 70 did not end in time · 71 answers can no longer be read, restart me
"""

import asyncio
import os
import socket
import threading
from contextlib import AsyncExitStack
from functools import partial
from types import FrameType
from typing import Any

import psycopg
import structlog
import uvicorn
import uvloop
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.errors import Unavailable
from gateway.rest.admission import MAX_HEADER_BYTES, Limits
from gateway.rest.app import Deps, create_app
from gateway.rest.health import Check
from gateway.rest.patience import PatientProtocol
from gateway.services.read_models import ReadModelAt
from gateway.services.tables import TableService
from gateway.settings import Settings
from projections import handlers as projections
from projections.checkpoints import Checkpoints
from services import endpoints
from services.starting import database_address, listen, needed, serve
from streams import topics_admin
from streams.connection import Connection
from streams.exit_codes import EXIT_INTERNAL, EXIT_STUCK
from streams.kafka_command_bus import KafkaCommandBus
from streams.query_bus import Handler, QueryBus
from streams.registry import Registry, load_registry
from streams.topics import Topics
from streams.worker_event_store import WorkerEventStore

log = structlog.get_logger("flexcore.api")

STOP_S = 5
"""Requests under way get this long; one that waits for a run's end is cut off then."""
GIVE_UP_S = 20.0
"""Compose and Kubernetes kill what has not ended after 30 s."""
BACKLOG = 2_048
POOL_SIZE = 10
POOL_WAIT_S = 5.0
DATABASE_CHECK_S = 1.0


def main() -> None:
    """Run the api; ends the process."""
    serve("api", _runs)


def _runs(settings: Settings) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings))


async def _run(settings: Settings) -> int:
    bootstrap, database_url = needed(settings, "api"), database_address(settings, "api")
    connection = Connection(bootstrap, settings.kafka.security())
    topics = Topics(settings.kafka.prefix)
    # Taken before anything is started.
    host, port = settings.api.host, settings.api.port
    listening = listen(host, port, "FLEXCORE__API__PORT", backlog=BACKLOG)
    partitions, registry = await asyncio.to_thread(_checked, connection, topics, settings)
    codec = registry.codec()
    bus = KafkaCommandBus(connection, topics, codec, partitions=partitions)
    events = WorkerEventStore(connection, topics, partitions=partitions)
    pool = _pool(database_url)
    async with AsyncExitStack() as running:
        checkpoints = await running.enter_async_context(Checkpoints(database_url))
        # A database that is away holds up reads alone.
        await pool.open(wait=False)
        running.push_async_callback(pool.close)
        running.push_async_callback(events.close)
        tables = TableService(partial(_projector, settings))
        running.push_async_callback(tables.close)
        await bus.start(_reader_died)
        running.push_async_callback(bus.close)
        app = create_app(
            Deps(
                commands=bus,
                queries=_queries(pool, checkpoints),
                events=events,
                codec=codec,
                registry=registry,
                tables=tables,
                checks=(
                    Check("kafka", partial(asyncio.to_thread, bus.check), needed=True),
                    Check("database", partial(_check_database, pool), needed=False),
                ),
                limits=Limits(settings.api.requests_per_s, settings.api.at_once),
            )
        )
        await _serve(_Server(_config(app)), listening)
    log.info("stopped")
    return 0


def _projector(settings: Settings) -> str | None:
    """Where a projector is; one of `flexcore dev` may be elsewhere after each of its starts."""
    if settings.projector.url is not None:
        return settings.projector.url
    running = endpoints.load(settings.data_dir)
    return running.projector if running is not None else None


def _checked(connection: Connection, topics: Topics, settings: Settings) -> tuple[int, Registry]:
    partitions = topics_admin.verify(connection, topics)
    return partitions, load_registry(connection, topics, settings.registry.url)


def _queries(pool: AsyncConnectionPool, checkpoints: Checkpoints) -> QueryBus:
    async def reach(query: ReadModelAt) -> None:
        await checkpoints.wait_for(query.projection, query.position, query.wait_s)

    def over_pool(handler: projections.Handler) -> Handler:
        async def answer(query: Any) -> Any:
            return await handler(query, pool)

        return answer

    found = {query: over_pool(handler) for query, handler in projections.HANDLERS.items()}
    return QueryBus({**found, ReadModelAt: reach})


def _pool(url: str) -> AsyncConnectionPool:
    return AsyncConnectionPool(
        url,
        open=False,
        min_size=1,
        max_size=POOL_SIZE,
        timeout=POOL_WAIT_S,
        kwargs={"autocommit": True, "application_name": "flexcore-api"},
    )


async def _check_database(pool: AsyncConnectionPool) -> None:
    try:
        async with pool.connection(timeout=DATABASE_CHECK_S) as connection:
            await connection.execute("SELECT 1")
    except (PoolTimeout, psycopg.Error, OSError) as error:
        raise Unavailable("database.unavailable", f"PostgreSQL is away: {error}") from error


# ── the server ───────────────────────────────────────────────────────────────────────────


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=PatientProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        timeout_graceful_shutdown=STOP_S,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )


class _Server(uvicorn.Server):
    """Ends at the first SIGTERM or SIGINT in order, and at the second one now."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        """Not uvicorn's own, which raises the signal again when it has stopped."""
        if self.should_exit:
            log.warning("told_twice_to_end")
            os._exit(0)
        self.should_exit = True
        threading.Timer(GIVE_UP_S, os._exit, (EXIT_STUCK,)).start()


async def _serve(server: _Server, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    host, port = listening.getsockname()[:2]
    log.info("listening", url=f"http://{host}:{port}")
    await server.serve([listening])


def _reader_died() -> None:
    log.critical("outcome_reader_died")
    os._exit(EXIT_INTERNAL)


if __name__ == "__main__":
    main()
