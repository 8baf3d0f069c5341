"""A broker and workers of a benchmark's own, under the same supervision as `flexcore dev` gives."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from gateway.settings import Kafka, Settings
from gateway.settings import Worker as WorkerSettings
from services.embedded import kafka, kafka_config, ports, process
from services.embedded.jars import ROOT
from services.environment import of_children
from streams import topics_admin
from streams.connection import Connection
from streams.topics import Topics
from streams.turn import Place

READY_WITHIN_S = 1_800.0
"""A worker that reads millions of events for the first time takes minutes."""


@dataclass(slots=True)
class WorkerProcess:
    """One slot's process; `start` it again after it has ended."""

    settings: Settings
    slot: int
    port: int
    running: process.Supervised | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start; returns at once."""
        worker = WorkerSettings(slot=self.slot, web_port=self.port)
        settings = self.settings.model_copy(update={"worker": worker})
        secrets = settings.data_dir / "secrets" / str(self.slot)
        self.running = process.start(
            [sys.executable, "-m", "services.worker"],
            log=settings.data_dir / f"worker-{self.slot}.log",
            env=of_children(settings, secrets),
            cwd=ROOT,
        )

    def end(self, how: signal.Signals) -> None:
        """Send the signal and wait until the process is gone."""
        assert self.running is not None
        os.kill(self.running.pid, how)
        self.running.wait(30)

    def owned(self) -> frozenset[Place]:
        """The places it serves, empty while it is not ready."""
        try:
            health = httpx2.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2.0).json()
        except (httpx2.TransportError, ValueError):
            return frozenset()
        names = health["partitions"] if health["ready"] else ()
        return frozenset((context, int(n)) for context, n in (one.split("/") for one in names))


@dataclass(slots=True)
class Cluster:
    """`broker` changes when it is restarted on its port."""

    folder: Path
    partitions: int
    broker: kafka.EmbeddedKafka
    workers: list[WorkerProcess]

    @property
    def connection(self) -> Connection:
        return Connection(self.broker.bootstrap)

    def restart_broker(self) -> float:
        """Kill it with SIGKILL and start it again; returns when its port was open again."""
        os.kill(self.broker.pid, signal.SIGKILL)
        self.broker.wait()
        self.broker = _broker(self.folder, self.broker.port)
        return time.perf_counter()

    def await_owned(self) -> None:
        """Wait until every partition of both contexts has its worker. Raises TimeoutError."""
        wanted = 2 * self.partitions
        deadline = time.monotonic() + READY_WITHIN_S
        while sum(len(worker.owned()) for worker in self.workers) < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError("the workers did not get ready")
            time.sleep(0.2)


@contextmanager
def cluster(folder: Path, *, workers: int, partitions: int) -> Iterator[Cluster]:
    """A broker with topics and schemas; the workers are not started yet."""
    broker = _broker(folder, None)
    settings = Settings(data_dir=folder, kafka=Kafka(bootstrap=broker.bootstrap))
    topics_admin.apply(Connection(broker.bootstrap), Topics(), partitions=partitions)
    taken: set[int] = set()
    places = []
    for slot in range(workers):
        port = ports.pick(avoid=frozenset(taken))
        taken.add(port)
        places.append(WorkerProcess(settings, slot, port))
    found = Cluster(folder, partitions, broker, places)
    try:
        yield found
    finally:
        for worker in places:
            if worker.running is not None:
                worker.running.stop()
        found.broker.stop()


def _broker(folder: Path, port: int | None) -> kafka.EmbeddedKafka:
    return kafka.start(
        folder / "kafka", port=port, usual_port=None, tuning=kafka_config.FOR_BENCHMARKS
    )
