"""Brokers for fault runs: one or three, each with a listener per worker behind the proxy.

clients, checker ──► PLAINTEXT          worker 2 ──► proxy's port ──► W2 (advertised as the proxy's port)

Kafka names to a client the address of the listener it came by, so a worker never leaves its door.
"""

import os
import signal
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from services.embedded import aot, jars, kafka, kafka_config, ports, process
from services.embedded.kafka_config import Tuning
from tests.faults.mounted import mounted
from tests.faults.proxied import Door, Proxied
from tests.faults.workers import until

UP_WITHIN_S = 180.0
_SETTINGS = {
    # Compaction that is forced comes within seconds instead of minutes.
    "log.cleaner.backoff.ms": "200",
    "log.initial.task.delay.ms": "100",
    "log.retention.check.interval.ms": "1000",
    # A topic's files are gone soon after it, as every segment of a campaign makes its own.
    "file.delete.delay.ms": "1000",
}


@dataclass(slots=True)
class Broker:
    """One node; `running` changes with every restart."""

    number: int
    folder: Path
    port: int
    controller_port: int
    doors: list[Door]
    running: process.Supervised | None = field(default=None, repr=False)

    @property
    def alive(self) -> bool:
        return self.running is not None and self.running.poll() is None

    @property
    def serves(self) -> bool:
        return kafka.serving_cluster(self.port) is not None


class Cluster:
    """`nodes` brokers and, where `slots` > 0, a proxy before the listeners of that many workers."""

    def __init__(self, folder: Path, *, nodes: int = 1, slots: int = 3, disk_mb: int = 0) -> None:
        """With `disk_mb` the only node's log lies in memory, so that its disk can be filled."""
        self._folder = folder
        self._tuning = Tuning(session_ms=2_000, heartbeat_ms=200, heap_mb=512 // nodes + 128)
        self._cache = aot.AotCache.of(jars.ensure())
        self._taken: set[int] = set()
        self.brokers = [self._broker(number, slots) for number in range(1, nodes + 1)]
        doors = [door for broker in self.brokers for door in broker.doors]
        folder.mkdir(parents=True, exist_ok=True)
        self._disks = ExitStack()
        self.on_tmpfs = bool(disk_mb) and self._disks.enter_context(
            mounted(self.brokers[0].folder / "data", disk_mb)
        )
        self.proxy = Proxied(doors, folder / "proxy.log")

    def _broker(self, number: int, slots: int) -> Broker:
        doors = [(slot, self._port(), self._port()) for slot in range(slots)]
        folder = self._folder / f"broker-{number}"
        return Broker(number, folder, self._port(), self._port(), doors)

    def _port(self) -> int:
        port = ports.pick(avoid=frozenset(self._taken))
        self._taken.add(port)
        return port

    @property
    def direct(self) -> str:
        """Bootstrap addresses past the proxy."""
        return ",".join(f"127.0.0.1:{broker.port}" for broker in self.brokers)

    def through_proxy(self, slot: int) -> str:
        """Bootstrap addresses of a worker."""
        found = (door for broker in self.brokers for door in broker.doors if door[0] == slot)
        return ",".join(f"127.0.0.1:{port}" for _, port, _ in found)

    def start(self) -> None:
        """Start every broker and wait until all serve. Raises TimeoutError."""
        identity = kafka_config.new_id()
        for broker in self.brokers:
            self._write(broker, identity)
        for broker in self.brokers:
            self._spawn(broker)
        for broker in self.brokers:
            until(lambda b=broker: b.serves, UP_WITHIN_S, f"broker {broker.number}")  # type: ignore[misc]

    def restart(self, broker: Broker) -> None:
        """Start a broker that has ended; returns when it serves. Raises TimeoutError."""
        self._spawn(broker)
        until(lambda: broker.serves, UP_WITHIN_S, f"broker {broker.number}")

    def kill(self, broker: Broker) -> int:
        """kill -9; returns its process id once it is gone."""
        return self._end(broker, signal.SIGKILL)

    def end(self, broker: Broker) -> int:
        """SIGTERM; returns its process id once it is gone."""
        return self._end(broker, signal.SIGTERM)

    def stop(self) -> None:
        """End all."""
        for broker in self.brokers:
            if broker.running is not None:
                broker.running.stop()
        self.proxy.stop()
        self._disks.close()

    def _end(self, broker: Broker, sign: signal.Signals) -> int:
        running = broker.running
        assert running is not None, "a broker is ended once"
        if running.poll() is None:
            os.kill(running.pid, sign)
        running.wait(60)
        return running.pid

    def _spawn(self, broker: Broker) -> None:
        java: list[str | Path] = [self._cache.java, *self._cache.use()]
        path = ":".join(map(str, self._cache.class_path))
        broker.running = process.start(
            [
                *java,
                *kafka_config.java_options(self._tuning),
                "-cp",
                path,
                "kafka.Kafka",
                broker.folder / "server.properties",
            ],
            log=broker.folder / "broker.log",
        )

    def _write(self, broker: Broker, identity: str) -> None:
        data = broker.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        meta = {
            "version": "1",
            "cluster.id": identity,
            "node.id": str(broker.number),
            "directory.id": kafka_config.new_id(),
        }
        (data / "meta.properties").write_text(_lines(meta), "utf-8")
        usual = kafka_config.server_properties(
            broker.folder,
            port=broker.port,
            controller_port=broker.controller_port,
            tuning=self._tuning,
        )
        # The last of two equal names counts.
        text = usual + _lines(_SETTINGS | self._placed(broker))
        (broker.folder / "server.properties").write_text(text, "utf-8")

    def _placed(self, broker: Broker) -> dict[str, str]:
        """What differs from node to node, and what three of them need."""
        names = [f"W{slot}" for slot, _, _ in broker.doors]
        own = f"PLAINTEXT://127.0.0.1:{broker.port}"
        listeners = [f"W{slot}://127.0.0.1:{inside}" for slot, _, inside in broker.doors]
        advertised = [f"W{slot}://127.0.0.1:{outside}" for slot, outside, _ in broker.doors]
        voters = [f"{b.number}@127.0.0.1:{b.controller_port}" for b in self.brokers]
        copies = str(len(self.brokers))
        in_sync = str((len(self.brokers) + 1) // 2)
        return {
            "node.id": str(broker.number),
            "controller.quorum.voters": ",".join(voters),
            "listeners": ",".join(
                [own, *listeners, f"CONTROLLER://127.0.0.1:{broker.controller_port}"]
            ),
            "advertised.listeners": ",".join([own, *advertised]),
            "listener.security.protocol.map": ",".join(
                f"{name}:PLAINTEXT" for name in ("CONTROLLER", "PLAINTEXT", *names)
            ),
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_sync,
        }


def _lines(properties: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())
