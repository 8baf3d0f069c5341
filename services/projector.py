"""The projector process: settings → checked topics → codec → projections, until told to end.

exit 0 on SIGTERM or SIGINT · 70 stuck, restart me · 71 internal, restart me and look
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from faust.contrib.asgi import faust_app_running

from gateway.settings import Settings
from projections import migrate
from projections.host import INTERNAL, Projector
from projections.views import add_pages
from services.embedded import ports
from services.embedded.errors import failed
from services.starting import database_address, listen, needed, serve, turned_away
from streams import topics_admin
from streams.connection import Connection
from streams.registry import load_registry
from streams.topics import Topics

log = structlog.get_logger("flexcore.projector")

STOP_S = 8.0
"""Faust's stop has no limit of its own; what is lost by leaving is read again."""
RECOVERY_S = 120.0
"""A recovery that Faust has given up looks like one that goes on; a million keys take 4 s."""
STUCK = 70


def main() -> None:
    """Run the projector; ends the process."""
    serve("projector", _runs)


def _runs(settings: Settings) -> int:
    for named_after_our_modules in ("streams.faust_host", "projections.store"):
        logging.getLogger(named_after_our_modules).setLevel(logging.WARNING)
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(code: int, why: str) -> None:
        if code:
            # Nothing after the failure was acknowledged, and a stop might acknowledge or hang.
            log.critical("projector_ends", code=code, why=why)
            os._exit(code)
        if ended.done():
            log.warning("told_twice_to_end")
            os._exit(code)
        ended.set_result(code)

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, end, 0, "asked to")
    building = loop.run_in_executor(None, _build, settings, end)
    both: set[asyncio.Future[Any]] = {building, ended}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if not building.done():
        os._exit(0)  # nothing was begun; the thread may wait for a broker for a long time yet
    projector = await building
    add_pages(projector)
    async with faust_app_running(projector.app):
        beside = [
            asyncio.create_task(projector.run()),
            asyncio.create_task(_watch(projector, end)),
        ]
        code = await ended
        projector.leaving = True
        threading.Timer(STOP_S, os._exit, (code,)).start()
        await projector.drained()
        for task in beside:
            task.cancel()
    os._exit(code)


def _build(settings: Settings, end: Callable[[int, str], None]) -> Projector:
    """Check the topics and put the projector together; blocks while the broker starts."""
    bootstrap = needed(settings, "projector")
    database_url = database_address(settings, "projector")
    pages = settings.projector
    port = pages.web_port or ports.pick()
    listen(pages.web_host, port, "FLEXCORE__PROJECTOR__WEB_PORT").close()
    connection = Connection(bootstrap, settings.kafka.security())
    topics = Topics(settings.kafka.prefix)
    partitions = topics_admin.verify(connection, topics)
    _check_tables(database_url)
    data_dir = settings.data_dir / "projector"
    data_dir.mkdir(parents=True, exist_ok=True)
    return Projector(
        connection=connection,
        topics=topics,
        codec=load_registry(connection, topics, settings.registry.url).codec(),
        partitions=partitions,
        database_url=database_url,
        data_dir=str(data_dir),
        host=pages.reached_at,
        bind=pages.web_host,
        port=port,
        on_fatal=end,
    )


def _check_tables(url: str) -> None:
    """Raises Unavailable where they are missing, or we are turned away; what is away is waited for."""
    try:
        newest = migrate.check(url)
    except psycopg.OperationalError as error:
        said = str(error).strip()
        if turned_away(said):
            raise failed(
                "PostgreSQL turns the projector away",
                cause=said.partition("FATAL:")[2].strip().partition("\n")[0],
                fix="correct FLEXCORE__DATABASE__URL",
            ) from error
        log.warning("database_away", what=said.partition("\n")[0])
        return
    if newest > migrate.NEWEST:
        log.warning("database_newer", has=newest, ours=migrate.NEWEST)


async def _watch(projector: Projector, end: Callable[[int, str], None]) -> None:
    """End when Faust has given up, or has recovered for too long: it does not do so itself."""
    since = time.monotonic()
    while True:
        await asyncio.sleep(1.0)
        if projector.app.crashed:
            end(INTERNAL, "Faust crashed")
        if projector.recovered:
            since = time.monotonic()
        elif time.monotonic() - since > RECOVERY_S:
            end(STUCK, f"no table was recovered within {RECOVERY_S:g} s")


if __name__ == "__main__":
    main()
