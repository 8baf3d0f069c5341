"""The embedded broker's files: server.properties and meta.properties, and what each tuning is for."""

import base64
import os
from dataclasses import dataclass
from pathlib import Path

NODE_ID = 1


@dataclass(frozen=True, slots=True)
class Tuning:
    """How one broker is run.

    `session_ms` bounds the restart after a kill -9: the controller waits that long for the dead broker
    (3 s instead of the default's 12–14 s). Benchmarks take `compile_fully` and a larger heap.
    """

    session_ms: int = 3000
    heartbeat_ms: int = 300
    heap_mb: int = 256
    compile_fully: bool = False


STANDARD = Tuning()
FOR_TESTS = Tuning(session_ms=1000, heartbeat_ms=100)
FOR_BENCHMARKS = Tuning(heap_mb=512, compile_fully=True)

# Equal in docker-compose.kafka.yml; a test compares them.
SETTINGS: dict[str, str] = {
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # A group that rests for a month still finds its offsets; the default forgets them after a week.
    "offsets.retention.minutes": "43200",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    # How often timed-out transactions are looked for; readers stand still behind a dead writer's until then.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "share.coordinator.state.topic.num.partitions": "2",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}

# Its default of 128 MB is what kills a small heap.
_CLEANER_BUFFER_BYTES = 4_194_304


def new_id() -> str:
    """A Kafka uuid: url-safe base64 without padding, never starting with a dash."""
    return base64.urlsafe_b64encode(b"A" + os.urandom(15)).decode().rstrip("=")


def server_properties(folder: Path, *, port: int, controller_port: int, tuning: Tuning) -> str:
    """The text of server.properties for a node that is broker and controller at once."""
    properties = {
        "process.roles": "broker,controller",
        "node.id": str(NODE_ID),
        # A static quorum needs no formatting by a JVM: meta.properties can be written by hand.
        "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": _escaped(folder / "data"),
        "broker.session.timeout.ms": str(tuning.session_ms),
        "broker.heartbeat.interval.ms": str(tuning.heartbeat_ms),
        "log.cleaner.dedupe.buffer.size": str(_CLEANER_BUFFER_BYTES),
        # It shares a machine of few cores with everything else: more threads (3 and 8) only wait for
        # each other, a sixth of the commands per second at 256 in flight (measured on 2 cores).
        "num.network.threads": "1",
        "num.io.threads": "4",
        **SETTINGS,
    }
    return _text(properties)


def _text(properties: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def _escaped(path: Path) -> str:
    return str(path).replace("\\", "\\\\")


def prepare(folder: Path, *, port: int, controller_port: int, tuning: Tuning) -> Path:
    """Write both files and return the path of server.properties; an existing identity is kept."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    # Only into an empty folder: a new identity over old data would hide that data for ever.
    if not any(data.iterdir()):
        identity = {"version": "1", "cluster.id": new_id(), "node.id": str(NODE_ID)}
        # By rename: Kafka refuses a folder whose identity is half written.
        part = folder / "meta.part"
        part.write_text(_text({**identity, "directory.id": new_id()}), "utf-8")
        part.replace(data / "meta.properties")
    properties = folder / "server.properties"
    text = server_properties(folder, port=port, controller_port=controller_port, tuning=tuning)
    properties.write_text(text, "utf-8")
    return properties


def cluster_id(folder: Path) -> str | None:
    """The identity that `prepare` gave the folder; None for a folder that has lost it."""
    meta = folder / "data" / "meta.properties"
    if not meta.exists():
        return None
    lines = meta.read_text("utf-8").splitlines()
    return next((line[11:] for line in lines if line.startswith("cluster.id=")), None)


def java_options(tuning: Tuning) -> list[str]:
    """JVM options; together with the settings they keep the broker at 170–220 MB."""
    return [
        "-XX:+UseSerialGC",
        f"-Xmx{tuning.heap_mb}m",
        *([] if tuning.compile_fully else ["-XX:TieredStopAtLevel=1"]),
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
    ]
