"""`flexcore bench commands`: durable conditional commands, from topic to outcome.

--bare runs the bare loop of bare_loop.py beside, on the same broker, run by run in turn
"""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.bare_topics import bare_topics
from benchmarks.event_count import EventCount
from benchmarks.load import Load, Run, spread
from streams import topics_admin
from streams.connection import Connection
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
            return
        with bare_topics(connection) as topics, _client(connection, topics) as theirs:
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
    """A load, whose events are counted in the log when it is over."""
    partitions = topics_admin.verify(connection, topics)
    load = Load(connection, topics, load_registry(connection, topics, None).codec(), partitions)
    try:
        events = EventCount(connection, topics, partitions, load.key_prefix)
        load.prepare()
        yield load
        if (there := events.count()) != load.committed:
            raise SystemExit(f"{load.committed} commands were accepted, {there} events are there")
    finally:
        load.close()
