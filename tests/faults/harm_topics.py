"""Faults done to topics behind the workers' backs, as an operator would do them.

F30 event topics are compacted by force       F31 a topic was changed: no worker may start
"""

# pyright: reportPrivateImportUsage=false
# confluent_kafka.admin offers these names without listing them as exported.
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
)

from domain.contexts import CONTEXTS
from gateway.settings import Kafka, Settings
from gateway.settings import Worker as WorkerSettings
from services.embedded.jars import ROOT
from services.environment import of_children
from streams import topics_admin
from streams.topics import Topics
from tests.faults.cluster import Cluster
from tests.faults.harm import Field, Trial
from tests.faults.history import Fault
from tests.faults.running import PARTITIONS
from tests.faults.workers import until
from tests.stack.isolation import delete_topics

COMPACTED_WITHIN_S = 60.0
REFUSED_WITHIN_S = 60.0
FORCED = {
    "min.compaction.lag.ms": "0",
    "min.cleanable.dirty.ratio": "0.01",
    "segment.ms": "1000",
}


LAG_MS = next(
    topic.settings["min.compaction.lag.ms"]
    for topic in Topics("any").table()
    if topic.name == Topics("any").events("pipeline")
)


def compact(on: Field, kind: str) -> Fault:
    """Event topics are compacted at once, while they are written; afterwards as they were."""
    trial = Trial(on, "F30", kind)
    admin = AdminClient(on.served.connection.client())
    topics = [on.served.topics.events(context) for context in CONTEXTS]
    before = _cleaned(on.cluster, topics)
    for topic in topics:
        _alter(admin, topic, FORCED, AlterConfigOpType.SET)

    def compacted() -> bool:
        return sum(_cleaned(on.cluster, topics).values()) > sum(before.values())

    until(compacted, COMPACTED_WITHIN_S, "the cleaner at work")
    after = _cleaned(on.cluster, topics)
    for topic in topics:
        settings = {name: "" for name in FORCED if name != "min.compaction.lag.ms"}
        _alter(admin, topic, settings, AlterConfigOpType.DELETE)
        _alter(admin, topic, {"min.compaction.lag.ms": LAG_MS}, AlterConfigOpType.SET)
    trial.hit(cleaned_up_to={place: offset for place, offset in after.items() if offset})
    trial.recovered(*on.served.workers.slots)
    return trial.done(sound=any(after.values()))


def _alter(
    admin: AdminClient, topic: str, settings: Mapping[str, str], how: AlterConfigOpType
) -> None:
    entries = [
        ConfigEntry(name, value or None, incremental_operation=how)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result(30)


def _cleaned(cluster: Cluster, topics: list[str]) -> dict[str, int]:
    """Up to where the cleaner has come, as it notes beside the logs: `topic partition offset`."""
    found: dict[str, int] = {}
    for broker in cluster.brokers:
        file = broker.folder / "data" / "cleaner-offset-checkpoint"
        for line in file.read_text().splitlines()[2:] if file.exists() else ():
            topic, partition, offset = line.split()
            if topic in topics:
                found[f"{topic}/{partition}"] = int(offset)
    return found


def changed(on: Field, kind: str) -> Fault:
    """Somebody gave a topic more partitions or another cleanup: a worker says so and does not start."""
    trial = Trial(on, "F31", kind)
    topics = Topics(f"changed{secrets.token_hex(3)}")
    connection = on.served.connection
    topics_admin.apply(connection, topics, partitions=PARTITIONS)
    admin = AdminClient(connection.client())
    if kind == "more partitions":
        wanted = [NewPartitions(topics.events("pipeline"), PARTITIONS + 1)]
        for answer in admin.create_partitions(wanted).values():
            answer.result(30)
    else:
        settings = {"cleanup.policy": "delete"}
        _alter(admin, topics.events("pipeline"), settings, AlterConfigOpType.SET)
    code, said = _start(on, topics)
    delete_topics(connection.bootstrap, topics.prefix)
    trial.hit(exit=code, said=said)
    return trial.done(sound=code not in (0, 1) and said.count("topics.wrong") == 1)


def _start(on: Field, topics: Topics) -> tuple[int, str]:
    """Start a worker of other topics; its exit code and the line that says why."""
    folder: Path = on.served.folder / topics.prefix
    settings = Settings(
        kafka=Kafka(bootstrap=on.served.connection.bootstrap, prefix=topics.prefix),
        worker=WorkerSettings(slot=90),
        data_dir=folder,
    )
    ran = subprocess.run(
        [sys.executable, "-m", "services.worker"],
        env=of_children(settings, folder / "secrets"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=REFUSED_WITHIN_S,
        check=False,
    )
    lines = [line for line in (ran.stdout + ran.stderr).splitlines() if "cannot_start" in line]
    return ran.returncode, "; ".join(lines)
