"""FlexCore and the bare confluent loop as contestants, on the running stack's broker.

flexcore   command topic ─► worker (index, dedupe, read-back) ─► outcome
bare loop  command topic ─► one loop, a transaction per batch  ─► outcome       (topics of its own)
"""

import platform
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import stamina
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks.load import Load, Run
from benchmarks.peers.measured import Failed, Measured
from benchmarks.peers.short_lived import ShortLived
from services.embedded import process
from streams import topics_admin
from streams.connection import Connection
from streams.kafka_group import KafkaGroup
from streams.registry import load_registry
from streams.topics import Topics

_DURABILITY = "A: survives process death (one replica, no fsync before the answer)"
_CLIENT = "1 thread, one producer and one consumer"
_BARE_PARTITIONS = 8
_LEADERS_WITHIN_S = 20.0


@contextmanager
def flexcore(connection: Connection, prefix: str) -> Iterator["OnKafka"]:
    """The running stack. Raises `SystemExit` where nobody answers its commands."""
    with _contestant("flexcore", connection, Topics(prefix)) as contestant:
        yield contestant


@contextmanager
def bare_loop(connection: Connection, folder: Path) -> Iterator["OnKafka"]:
    """The bare loop over new topics, which are deleted afterwards."""
    topics = Topics(f"bench{uuid.uuid4().hex[:6]}")
    topics_admin.apply(connection, topics, partitions=_BARE_PARTITIONS)
    _await_leaders(connection, topics)
    module = ["-m", "benchmarks.bare_loop", connection.bootstrap, topics.prefix]
    loop = process.start([sys.executable, *module], log=folder / "bare_loop.log")
    try:
        with _contestant("bare-loop", connection, topics) as contestant:
            yield contestant
    finally:
        loop.stop()
        admin = AdminClient(connection.client())
        names = [topic.name for topic in topics.table()]
        for deleted in admin.delete_topics(names).values():
            deleted.result()


def _await_leaders(connection: Connection, topics: Topics) -> None:
    """A topic that was made just now has partitions without a leader for a moment."""
    names = (topics.outcomes, topics.events("pipeline"), topics.commands("pipeline"))
    for attempt in stamina.retry_context(_may_pass, timeout=_LEADERS_WITHIN_S, attempts=None):
        with attempt:
            for name in names:
                places = {(name, n): name for n in range(_BARE_PARTITIONS)}
                KafkaGroup(connection, topics).ends(places)


def _may_pass(error: Exception) -> bool:
    return isinstance(error, KafkaException) and bool(error.args[0].retriable())


@contextmanager
def _contestant(name: str, connection: Connection, topics: Topics) -> Iterator["OnKafka"]:
    partitions = topics_admin.verify(connection, topics)
    codec = load_registry(connection, topics, None).codec()
    load = ShortLived(connection, topics, codec, partitions)
    try:
        events = EventCount(connection, topics, partitions, load.key_prefix)
        load.prepare()
        yield OnKafka(name, load, events)
    finally:
        load.close()


@dataclass(slots=True)
class OnKafka:
    """A contestant driven from this process, as `flexcore bench commands` does it."""

    name: str
    _load: Load = field(repr=False)
    _events: "EventCount" = field(repr=False)
    client: str = _CLIENT
    durability: str = _DURABILITY
    versions: dict[str, str] = field(
        default_factory=lambda: {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("confluent-kafka", "fastavro")},
        }
    )
    _unsound: str = ""

    def run(self, in_flight: int, seconds: float) -> Measured | Failed:
        """One run; after an unsound one nothing is known about the aggregates, so all later ones fail too."""
        if self._unsound:
            return Failed(self._unsound)
        run = self._load.run(in_flight, seconds)
        self._unsound = _judged(run, self._load.committed, self._events)
        if self._unsound:
            return Failed(self._unsound)
        return Measured(run.rate_per_s, run.percentile(0.5), run.percentile(0.99))


def _judged(run: Run, accepted: int, events: "EventCount") -> str:
    """What is wrong with the run, else nothing."""
    if run.refused or run.lost:
        return f"{run.refused} commands were refused, {run.lost} had no answer"
    if (there := events.count()) != accepted:
        return f"{accepted} commands were accepted, {there} events are there"
    return ""


class EventCount:
    """Counts what a load has written to the event log, read committed; the log is read once."""

    def __init__(
        self, connection: Connection, topics: Topics, partitions: int, key_prefix: bytes
    ) -> None:
        self._connection, self._topics = connection, topics
        self._places = {("pipeline", n): topics.events("pipeline") for n in range(partitions)}
        self._prefix = key_prefix
        self._read_to = KafkaGroup(connection, topics).ends(self._places)
        self._counted = 0

    def count(self) -> int:
        """Events of the load, of which none may be on its way."""
        ends = KafkaGroup(self._connection, self._topics).ends(self._places)
        left = {n for (_, n), end in ends.items() if end > self._read_to["pipeline", n]}
        consumer = Consumer(
            self._connection.client(
                group_id="bench-count",
                isolation_level="read_committed",
                enable_auto_commit=False,
                enable_partition_eof=True,
                fetch_queue_backoff_ms=5,
            )
        )
        topic = self._topics.events("pipeline")
        consumer.assign([TopicPartition(topic, n, self._read_to["pipeline", n]) for n in left])
        keys: set[bytes] = set()
        while left:
            message: Any
            for message in consumer.consume(5_000, 1.0):
                if message.error() is not None:
                    left.discard(message.partition())
                elif (key := message.key() or b"").startswith(self._prefix):
                    keys.add(key)
        consumer.close()
        self._read_to, self._counted = ends, self._counted + len(keys)
        return self._counted
