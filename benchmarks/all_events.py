"""All events in the order of time: `python -m benchmarks.all_events [--events 1000000]`.

write events into 8 partitions ──► per run: read_all, then the same records with a bare consumer

even     the partitions grow together, a block each in turn
lagging  one partition after the other: the merge must hold the later ones back
"""

import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, TopicPartition
from cyclopts import App
from rich.console import Console
from rich.table import Table

from benchmarks.bulk import write_events
from benchmarks.cluster import cluster
from streams.all_events import AllEvents
from streams.connection import Connection
from streams.event_store import Selection
from streams.registry import load_registry
from streams.topics import Topics

PARTITIONS = 8
BLOCK = 1_000
"""Events that a partition gets in turn: what 8 partitions of a busy worker write in 0.1 s or so."""

app = App(name="all-events", help="Measure reading all events.", help_format="plaintext")
Measured = tuple[float, float]
"""(milliseconds to the first event, events per second)."""


@app.default
def main(*, events: int = 1_000_000, runs: int = 5, lagging: bool = False) -> None:
    """Print one JSON line per result, then a table.

    Parameters
    ----------
    events
        how many events there are, over all partitions
    runs
        runs of each reader, in turn; the median is the result
    lagging
        write one partition after the other
    """
    with (
        tempfile.TemporaryDirectory(prefix="flexcore-all-events-") as folder,
        cluster(Path(folder), workers=0, partitions=PARTITIONS) as running,
    ):
        connection = running.connection
        codec = load_registry(connection, Topics()).codec()
        each = events // PARTITIONS
        block = each if lagging else min(BLOCK, each)
        for _ in range(each // block):
            write_events(connection, codec, PARTITIONS, block)
        count = each // block * block * PARTITIONS
        pairs = [(read_all(connection, count), read_bare(connection, count)) for _ in range(runs)]
    order = "lagging" if lagging else "even"
    results = [
        result("read_all", order, count, [pair[0] for pair in pairs]),
        result("bare consumer", order, count, [pair[1] for pair in pairs]),
    ]
    for one in results:
        sys.stdout.buffer.write(orjson.dumps(one) + b"\n")
    table = Table("reader", "order", "events", "first ms", "events/s", "lowest and highest")
    for one in results:
        table.add_row(*(str(one[name]) for name in _COLUMNS))
    Console(stderr=True).print(table)


_COLUMNS = ("reader", "order", "events", "first_ms", "rate_per_s", "spread")


def read_all(connection: Connection, count: int) -> Measured:
    """The feed as its users have it. Exits where events are missing."""
    began = time.perf_counter()

    async def read() -> Measured:
        found, first_ms = 0, 0.0
        async for _ in AllEvents(connection, Topics(), Selection(), partitions=PARTITIONS):
            first_ms = first_ms or (time.perf_counter() - began) * 1_000
            found += 1
        return _measured(began, first_ms, found, count)

    return asyncio.run(read())


def read_bare(connection: Connection, count: int) -> Measured:
    """The same records in whatever order, with nothing made of them."""
    began = time.perf_counter()
    consumer = Consumer(
        connection.client(
            group_id="bench-bare",
            isolation_level="read_committed",
            enable_auto_commit=False,
            fetch_queue_backoff_ms=5,
            queued_min_messages=20_000,
        )
    )
    topic = Topics().events("pipeline")
    consumer.assign([TopicPartition(topic, n, 0) for n in range(PARTITIONS)])
    found, first_ms = 0, 0.0
    while found < count:
        messages = consumer.consume(2_000, 0.05)
        if messages:
            first_ms = first_ms or (time.perf_counter() - began) * 1_000
        found += len(messages)
    consumer.close()
    return _measured(began, first_ms, found, count)


def _measured(began: float, first_ms: float, found: int, count: int) -> Measured:
    if found != count:
        raise SystemExit(f"{count} events were written, {found} were read")
    return first_ms, found / (time.perf_counter() - began)


def result(reader: str, order: str, events: int, runs: Sequence[Measured]) -> dict[str, Any]:
    """What the runs come to."""
    rates = [rate for _, rate in runs]
    return {
        "benchmark": "all events",
        "reader": reader,
        "order": order,
        "events": events,
        "first_ms": round(statistics.median(first_ms for first_ms, _ in runs), 1),
        "rate_per_s": round(statistics.median(rates)),
        "runs": len(runs),
        "spread": [round(min(rates)), round(max(rates))],
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
    }


if __name__ == "__main__":
    app()
