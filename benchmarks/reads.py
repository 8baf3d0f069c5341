"""Reads of one aggregate: `python -m benchmarks.reads --events 100000 --events 10000000 [--rest URL]`.

fill an index, in bulk ──► close ──► open ──► first read ──► 10 events of random aggregates

--rest measures the same through the api of a running stack, on pipelines made for it
"""

import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx2
import orjson
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from streams.lmdb_stream_index import LmdbStreamIndex
from streams.records import EventRecord
from streams.topics import partition_of

PARTITIONS = 8
PER_AGGREGATE = 10
BODY_BYTES = 256
BATCH = 2_000
READS = 5_000

app = App(name="reads", help="Measure reading 10 events of one aggregate.", help_format="plaintext")


@app.default
def main(
    *,
    events: Annotated[list[int], Parameter(consume_multiple=True)] | None = None,
    rest: str | None = None,
    runs: int = 5,
    folder: Path | None = None,
) -> None:
    """Print one JSON line per result, then a table.

    Parameters
    ----------
    events
        how many events the index holds; several numbers give a result each (default: 100000)
    rest
        URL of a running api, which gets 200 pipelines of 10 events for this
    runs
        runs of 5,000 reads each; the median is the result
    folder
        where the index is made; it is deleted afterwards (default: a temporary folder)
    """
    results = [in_process(count, runs, folder) for count in events or [100_000]]
    if rest is not None:
        results.append(through_rest(rest, runs))
    for result in results:
        sys.stdout.buffer.write(orjson.dumps(result) + b"\n")
    table = Table("where", "events", "p50 ms", "p99 ms", "first ms", "fill events/s", "bytes/event")
    for one in results:
        table.add_row(*(str(one[name]) for name in _COLUMNS))
    Console(stderr=True).print(table)


_COLUMNS = ("where", "events", "p50_ms", "p99_ms", "first_ms", "fill_per_s", "bytes_per_event")


def in_process(count: int, runs: int, folder: Path | None) -> dict[str, Any]:
    """Of the index itself, from the calling thread."""
    where = Path(tempfile.mkdtemp(prefix="flexcore-reads-", dir=folder))
    try:
        index = _opened(where)
        began = time.perf_counter()
        _fill(index, count)
        index.flush()
        fill_per_s = count / (time.perf_counter() - began)
        index.close()
        size = sum(file.stat().st_blocks * 512 for file in where.rglob("data.mdb"))
        index = _opened(where)
        pick = _picker(count // PER_AGGREGATE)
        first_ms = _timed(lambda: _ten(index, pick()))
        took = [[_timed(lambda: _ten(index, pick())) for _ in range(READS)] for _ in range(runs)]
        index.close()
    finally:
        shutil.rmtree(where)
    return _result("in process", count, took, first_ms) | {
        "fill_per_s": round(fill_per_s),
        "bytes_per_event": round(size / count),
    }


def through_rest(url: str, runs: int) -> dict[str, Any]:
    """Through the api and the worker that owns the aggregate."""
    with httpx2.Client(base_url=url, timeout=30) as client:
        names = [f"reads-{uuid.uuid4().hex[:12]}" for _ in range(200)]
        for name in names:
            made = {"pipeline_id": name, "name": name, "steps": _STEPS}
            client.post("/v1/pipelines", json=made).raise_for_status()
            for revision in range(1, PER_AGGREGATE):
                revised = {"name": f"{name} {revision}", "steps": _STEPS}
                client.put(f"/v1/pipelines/{name}", json=revised).raise_for_status()

        def read() -> None:
            name = random.choice(names)
            where = f"/v1/streams/pipeline/{name}/events"
            answer = client.get(where, params={"limit": PER_AGGREGATE})
            assert len(answer.raise_for_status().json()["items"]) == PER_AGGREGATE

        first_ms = _timed(read)
        took = [[_timed(read) for _ in range(500)] for _ in range(runs)]
    return _result("rest", len(names) * PER_AGGREGATE, took, first_ms) | {
        "fill_per_s": "",
        "bytes_per_event": "",
    }


_STEPS = [{"id": "read", "uses": "flexcore.csv_read", "with": {"path": "a.csv"}}]


def _opened(folder: Path) -> LmdbStreamIndex:
    return LmdbStreamIndex(folder, partitions=PARTITIONS, log_id="benchmark")


def _fill(index: LmdbStreamIndex, count: int) -> None:
    """Aggregates of 10 events each, interleaved 1,000 at a time, as their commands would come."""
    ends = [0] * PARTITIONS
    for batch in _batches(count):
        for partition, events in batch.items():
            index.append(events)
            ends[partition] += len(events)
            index.advance("pipeline", partition, ends[partition])
        while not index.room:
            time.sleep(0.001)


def _batches(count: int) -> Iterator[dict[int, list[EventRecord]]]:
    aggregates = count // PER_AGGREGATE
    body = random.randbytes(BODY_BYTES)
    for start in range(0, aggregates, 1_000):
        names = [f"a{number}" for number in range(start, min(start + 1_000, aggregates))]
        homes = [(name, partition_of(name, PARTITIONS)) for name in names]
        for first in range(1, PER_AGGREGATE + 1, 2):
            batch: dict[int, list[EventRecord]] = {}
            for version in (first, first + 1):
                for name, partition in homes:
                    event = _event(name, version, partition, body)
                    batch.setdefault(partition, []).append(event)
            yield batch


def _event(name: str, version: int, partition: int, body: bytes) -> EventRecord:
    identity = uuid.uuid4().hex.encode()
    headers = {
        "ce_id": identity,
        "ce_type": b"flexcore.pipeline.PipelineRevised",
        "ce_aggregateversion": b"%d" % version,
        "ce_txnindex": b"0",
        "ce_specversion": b"1.0",
        "ce_source": b"flexcore/worker/0/4711",
        "ce_time": b"2026-01-01T00:00:00.000000Z",
        "ce_subject": name.encode(),
        "content-type": b"application/avro",
        "ce_tenantid": b"default",
        "ce_actorid": b"anonymous",
        "ce_correlationid": identity,
        "ce_causationid": identity,
        "ce_commandid": identity,
        "ce_commandhash": identity * 2,
        "ce_txncount": b"1",
    }
    return EventRecord("pipeline", name, version, partition, version, 0, body, headers)


def _picker(aggregates: int) -> Callable[[], str]:
    return lambda: f"a{random.randrange(aggregates)}"


def _ten(index: LmdbStreamIndex, name: str) -> None:
    assert len(index.events("pipeline", name, 1, PER_AGGREGATE)) == PER_AGGREGATE


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1_000


def _result(
    where: str, events: int, took: Sequence[Sequence[float]], first_ms: float
) -> dict[str, Any]:
    ordered = [sorted(run) for run in took]
    return {
        "benchmark": "reads of 10 events of one aggregate",
        "where": where,
        "events": events,
        "p50_ms": round(statistics.median(run[len(run) // 2] for run in ordered), 4),
        "p99_ms": round(statistics.median(run[len(run) * 99 // 100] for run in ordered), 4),
        "first_ms": round(first_ms, 3),
        "runs": len(took),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
    }


if __name__ == "__main__":
    app()
