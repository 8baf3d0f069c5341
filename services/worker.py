"""The worker process: command handlers, lane, tailer and engine, until told to end.

exit 0 on SIGTERM or SIGINT · 70 stuck or fenced, restart me · 71 internal, restart me and look
"""

import asyncio
import gc
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog
from faust.contrib.asgi import faust_app_running

from agents.commands import host_commands
from agents.engine import Engine
from agents.handler_group import Source
from agents.handler_host import HandlerHost
from agents.pages import add_pages
from gateway.settings import Settings
from observability import worker_metrics as metrics
from plugins.host import PluginHost
from plugins.templates import expression_problems
from services.embedded import ports
from services.slots import slot
from services.starting import listen, needed, serve
from services.worker_handlers import handlers_of, shown
from services.worker_index import open_index
from services.worker_plugins import plugin_settings
from streams import topics_admin
from streams.command_feed import CommandFeed
from streams.connection import Connection
from streams.exit_codes import EXIT_INTERNAL, EXIT_STUCK
from streams.faust_host import IDLE_S, HostApp, host_app, leave_group
from streams.group_metadata import check_form
from streams.judging import Judge
from streams.kafka_answers import KafkaAnswers
from streams.kafka_group import KafkaGroup
from streams.kafka_lane import KafkaLane
from streams.kafka_tailer import KafkaTailer
from streams.kafka_writer import KafkaWriter
from streams.lane import Lane
from streams.mapped_suspects import MappedSuspects
from streams.registry import load_registry
from streams.standby_assignor import StandbyAssignor
from streams.tailer import Tailer
from streams.topics import Topics
from streams.turn import Settled

log = structlog.get_logger("flexcore.worker")

STOP_S = 20.0
LEAVE_S = 3.0
EXPIRE_EVERY_S = 60.0
CATCH_UP_POLL_S = 0.02
STEPS_PER_CHILD = 4
"""Steps with the plugin host per child: enough that none waits for work, few to deliver again."""


def main() -> None:
    """Run a worker; ends the process."""
    serve("worker", _runs)


def _runs(settings: Settings) -> int:
    # Lane, tailer and Faust's two loops share the GIL; 5 ms a turn would be most of a commit.
    sys.setswitchinterval(0.0005)
    # Records live for milliseconds and make no cycles; looking for some is 5 % of the lane's time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    with slot(settings.data_dir, settings.worker.slot) as number:
        return Worker(settings, number).run()


class Worker:
    """Everything a worker is made of; adapters are chosen here and nowhere else."""

    def __init__(self, settings: Settings, slot_number: int) -> None:
        bootstrap, pages = needed(settings, "worker"), settings.worker
        listen(pages.web_host, pages.web_port, "FLEXCORE__WORKER__WEB_PORT").close()
        check_form()
        handlers = handlers_of(settings)
        self.settings = settings
        self.connection = Connection(bootstrap, settings.kafka.security())
        self.topics = Topics(settings.kafka.prefix)
        self.partitions = topics_admin.verify(self.connection, self.topics)
        codec = load_registry(self.connection, self.topics, settings.registry.url).codec()
        self.writer_id = f"{self.topics.worker_group}-{slot_number}"
        self.port = settings.worker.web_port or ports.pick()
        self.url = f"http://{settings.worker.reached_at}:{self.port}"
        source = f"flexcore/worker/{slot_number}/{os.getpid()}"
        folder = settings.data_dir / "index" / str(slot_number)
        everything = settings.worker.standby == "all"
        self.index, self.following, self.behind = open_index(
            folder, self.connection, self.topics, self.partitions, everything=everything
        )
        suspects = MappedSuspects(settings.data_dir / "judging", slot_number, self.index.log_id)
        self.logic = Tailer(self.index)
        group = KafkaGroup(self.connection, self.topics)
        home = slot_number % self.partitions
        answers = KafkaAnswers(self.connection, self.topics, codec, partition=home, source=source)
        self.tailer = KafkaTailer(
            self.connection,
            self.topics,
            codec,
            self.logic,
            partitions=self.partitions,
            answers=answers,
            following=self.following,
            ends=group.ends,
        )
        plugins = plugin_settings(settings, slot_number)
        self.plugins = PluginHost(plugins, on_fatal=_plugins_died)
        self.engine = Engine(
            self.plugins,
            self.index,
            codec,
            lambda commands: self.lane.take_internal(commands),
            self.partitions,
            in_flight=STEPS_PER_CHILD * plugins.size,
        )
        # Not SystemRandom: its system call gives the GIL away, for up to 5 ms per command.
        judge = Judge(codec, self.partitions, random.random, expression_problems)
        self.logic_lane = Lane(
            judge,
            self.index,
            self.topics,
            transactional_id=self.writer_id,
            url=self.url,
            source=source,
            suspects=suspects,
        )
        self.writer = KafkaWriter(self.connection, self.topics, self.writer_id)
        self.lane = KafkaLane(
            self.logic_lane,
            self.index,
            self.writer,
            group,
            self.tailer,
            writer_id=self.writer_id,
            on_opening=self.engine.own,
            on_settled=self._settled,
            on_commit_s=metrics.COMMIT_SECONDS.observe,
        )
        events = Source(
            connection=self.connection,
            topics=self.topics,
            codec=codec,
            partitions=self.partitions,
            session_timeout_s=settings.worker.session_timeout_s,
            client_id=self.writer_id,
        )
        self.handlers = HandlerHost(handlers, events, shown)
        self.ready = False
        self._ending = threading.Event()

    def run(self) -> int:
        """Serve until SIGTERM; returns the exit code."""
        # Before the group is joined: a rebalance would wait for it.
        self.writer.connect()
        self.tailer.start()
        self.lane.start()
        self.handlers.start()
        for name, body in (
            ("engine", lambda: self.engine.run(self._ending)),
            ("expiry", self._expire),
            ("progress", lambda: self.behind.tell(self._ending)),
        ):
            threading.Thread(target=_or_exit, args=(name, body), name=name, daemon=True).start()
        return asyncio.run(self._serve())

    async def _serve(self) -> int:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._end, ended)
        app, feed = self._app()
        while self.behind.catches_up() and not ended.is_set():  # noqa: ASYNC110 - a thread reads
            await asyncio.sleep(CATCH_UP_POLL_S)
        async with faust_app_running(app):
            watch = asyncio.create_task(_watch(app))
            await ended.wait()
            watch.cancel()
            threading.Timer(STOP_S, os._exit, (EXIT_STUCK,)).start()
            self._ending.set()
            handled = asyncio.create_task(asyncio.to_thread(self.handlers.stop))
            await asyncio.to_thread(feed.stop)
            await asyncio.to_thread(self.lane.stop)
            await asyncio.to_thread(self.engine.own, ())
            try:
                await asyncio.wait_for(leave_group(app), LEAVE_S)
            except TimeoutError:
                # In the middle of a rebalance; the group notices by itself.
                log.warning("left_without_a_word")
        await handled
        await asyncio.to_thread(self.tailer.stop)
        await asyncio.to_thread(self.index.close)
        self.plugins.close()
        log.info("stopped")
        return 0

    def _end(self, ended: asyncio.Event) -> None:
        if ended.is_set():
            log.warning("told_twice_to_end")
            os._exit(0)
        self.ready = False
        ended.set()

    def _app(self) -> tuple[HostApp, CommandFeed]:
        standby = self.settings.worker.standby
        app = host_app(
            self.topics.worker_group,
            self.connection,
            partitions=self.partitions,
            data_dir=str(self.settings.data_dir / "worker"),
            session_timeout_s=self.settings.worker.session_timeout_s,
            web_host=self.settings.worker.reached_at,
            web_bind=self.settings.worker.web_host,
            web_port=self.port,
            # The fence tells by it which writers are alive.
            broker_client_id=self.writer_id,
            broker_max_poll_interval=IDLE_S,
            PartitionAssignor=StandbyAssignor,
            # With 0 Faust would take aiokafka's round robin, which gives nothing at all to whoever
            # joins before the broker has told of the topics.
            table_standby_replicas=1 if standby == "all" else standby,
        )
        feed = host_commands(
            app,
            self.lane,
            self.connection,
            self.topics,
            partitions=self.partitions,
            on_assigned=self.following.follow,
            on_ready=self._set_ready,
        )
        add_pages(
            app,
            self.index,
            partitions=self.partitions,
            owns=lambda place: self.ready and place in self.lane.owned,
            follows=self.following.__contains__,
            health=self._health,
        )
        return app, feed

    # ── callbacks ────────────────────────────────────────────────────────────────────────

    def _settled(self, settled: Settled) -> None:
        self.engine.on_events(settled.events)
        for outcome, count in (
            ("accepted", settled.judged - settled.refused - settled.dead),
            ("refused", settled.refused),
            ("dead", settled.dead),
        ):
            metrics.COMMANDS.labels(outcome).inc(max(count, 0))
        for context, count in Counter(event.context for event in settled.events).items():
            metrics.EVENTS.labels(context).inc(count)
        metrics.REPAIRED.set(self.logic_lane.repaired)

    def _set_ready(self, ready: bool) -> None:
        self.ready = ready

    def _health(self) -> dict[str, Any]:
        gaps = self.logic.gaps()
        metrics.QUEUED.set(self.lane.queued)
        metrics.OWNED.set(len(self.lane.owned))
        metrics.RUNNING.set(self.engine.running)
        metrics.CONFLICTS.set(self.logic.conflicts)
        metrics.GAPS.set(len(gaps))
        metrics.RECYCLED.set(self.writer.recycled)
        metrics.HANGING.set(self.writer.hanging)
        metrics.BROKEN.set(len(self.lane.broken))
        return {
            "ready": self.ready and not self.lane.broken and not self.lane.stuck,
            "writer": self.writer_id,
            "partitions": sorted(f"{context}/{number}" for context, number in self.lane.owned),
            "follows": sorted(self.following.numbers),
            "broken": {f"{c}/{n}": key for (c, n), key in self.lane.broken.items()},
            "gaps": {f"{c}/{n}": key for (c, n), key in gaps.items()},
            "queued": self.lane.queued,
            "index": "full" if self.index.full else self.behind.text(),
            "steps_running": self.engine.running,
            "handlers": self.handlers.state,
        }

    # ── threads ──────────────────────────────────────────────────────────────────────────

    def _expire(self) -> None:
        while True:
            self.index.expire(int(time.time() * 1000))
            if self._ending.wait(EXPIRE_EVERY_S):
                return


def _or_exit(name: str, body: Callable[[], None]) -> None:
    try:
        body()
    except Exception:
        log.exception("thread_died", thread=name)
        os._exit(EXIT_INTERNAL)


async def _watch(app: HostApp) -> None:
    """End when Faust has given up; it does not do so itself."""
    while True:
        await asyncio.sleep(0.5)
        if app.crashed:
            log.critical("faust_crashed", why=repr(app.crash_reason))
            os._exit(EXIT_INTERNAL)


def _plugins_died(error: Exception) -> None:
    log.critical("plugin_host_died", why=repr(error))
    os._exit(EXIT_INTERNAL)


if __name__ == "__main__":
    main()
