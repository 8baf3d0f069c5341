"""`flexcore bench commands`: durable conditional commands, from topic to outcome.

--bare runs the bare loop of bare_loop.py beside, on the same broker, run by run in turn
"""

import os
import platform
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks.load import Load, Run, spread
from streams import topics_admin
from streams.connection import Connection
from streams.kafka_group import KafkaGroup
from streams.registry import load_registry
from streams.topics import Topics

DURABILITY = "A: survives process death; one unreplicated broker, no power loss"


def measure(
    bootstrap: str,
    *,
    in_flight: Sequence[int],
    seconds: float,
    runs: int,
    bare: bool = False,
    prefix: str = "flexcore",
    security: dict[str, str] | None = None,
) -> Iterator[dict[str, Any]]:
    """One result per number in flight, and one of the bare loop beside it where asked."""
    connection = Connection(bootstrap, security or {})
    with _client(connection, Topics(prefix)) as ours:
        if not bare:
            yield from (_measured("commands", ours, n, seconds, runs) for n in in_flight)
            _count(connection, Topics(prefix), ours)
            return
        with _bare_loop(connection) as theirs:
            for number in in_flight:
                pairs = [
                    (_run(ours, number, seconds), _run(theirs, number, seconds))
                    for _ in range(runs)
                ]
                yield _result("commands", number, seconds, [pair[0] for pair in pairs])
                yield _result("bare loop", number, seconds, [pair[1] for pair in pairs])


def _measured(name: str, load: Load, number: int, seconds: float, runs: int) -> dict[str, Any]:
    return _result(name, number, seconds, [_run(load, number, seconds) for _ in range(runs)])


def _run(load: Load, number: int, seconds: float) -> Run:
    run = load.run(number, seconds)
    if run.refused or run.lost:
        raise SystemExit(f"not sound: {run.refused} refused, {run.lost} without an answer")
    return run


def _result(name: str, number: int, seconds: float, runs: Sequence[Run]) -> dict[str, Any]:
    rate, lowest, highest = spread([run.rate_per_s for run in runs])
    return {
        "benchmark": name,
        "durability": DURABILITY,
        "rate_per_s": round(rate),
        "p50_ms": round(spread([run.percentile(0.5) for run in runs])[0], 2),
        "p99_ms": round(spread([run.percentile(0.99) for run in runs])[0], 2),
        "runs": len(runs),
        "spread": [round(lowest), round(highest)],
        "settings": {"in_flight": number, "seconds": seconds},
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
    }


@contextmanager
def _client(connection: Connection, topics: Topics) -> Iterator[Load]:
    partitions = topics_admin.verify(connection, topics)
    load = Load(connection, topics, load_registry(connection, topics, None).codec(), partitions)
    try:
        load.prepare()
        yield load
    finally:
        load.close()


@contextmanager
def _bare_loop(connection: Connection) -> Iterator[Load]:
    topics = Topics(f"bench{uuid.uuid4().hex[:6]}")
    topics_admin.apply(connection, topics, partitions=8)
    command = [sys.executable, "-m", "benchmarks.bare_loop", connection.bootstrap, topics.prefix]
    peer = subprocess.Popen(command, cwd=Path(__file__).parents[1])
    try:
        with _client(connection, topics) as load:
            yield load
    finally:
        peer.kill()
        peer.wait()
        names = [topic.name for topic in topics.table()]
        admin = AdminClient(connection.client())
        for future in admin.delete_topics(names).values():
            future.result()


def _count(connection: Connection, topics: Topics, load: Load) -> None:
    """Count the events in the log. Exits where there are more or fewer than accepted commands."""
    partitions = topics_admin.verify(connection, topics)
    places = {("pipeline", n): topics.events("pipeline") for n in range(partitions)}
    ends = KafkaGroup(connection, topics).ends(places)
    consumer = Consumer(
        connection.client(
            group_id="bench-count",
            isolation_level="read_committed",
            enable_auto_commit=False,
            enable_partition_eof=True,
            fetch_queue_backoff_ms=5,
        )
    )
    topic = topics.events("pipeline")
    consumer.assign([TopicPartition(topic, n, 0) for n in range(partitions)])
    left = {n for (_, n), end in ends.items() if end > 0}
    keys: set[bytes] = set()
    while left:
        for message in consumer.consume(5_000, 1.0):
            if message.error() is not None:
                left.discard(message.partition())
            elif (key := message.key() or b"").startswith(load.key_prefix):
                keys.add(key)
    consumer.close()
    if len(keys) != load.committed:
        raise SystemExit(f"{load.committed} commands were accepted, {len(keys)} events are there")
