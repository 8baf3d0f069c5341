"""What a worker holds on to while it works for long: `python -m benchmarks.soak [--minutes 30]`.

One worker, 32 commands in flight, every tenth a new pipeline. Every 15 s: private memory (RssAnon,
in MiB; the index's mapped file is the page cache's), threads, descriptors, commands in its queue.
Flat means: between minute 5 and the end no five-minute median is over 5 % above the first one.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx2
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.cluster import WorkerProcess, cluster
from benchmarks.peers.short_lived import ShortLived
from streams.registry import load_registry
from streams.topics import Topics

PARTITIONS = 8
IN_FLIGHT = 32
EVERY_S = 15.0
SETTLED_MIN = 5.0
WINDOW_MIN = 5.0
TOLERANCE = 1.05


@dataclass(frozen=True, slots=True)
class Sample:
    minute: float
    private_mib: float
    threads: int
    descriptors: int
    queued: int


def sample(worker: WorkerProcess, began: float) -> Sample:
    """What the worker holds now."""
    assert worker.running is not None
    process = psutil.Process(worker.running.pid)
    status = Path(f"/proc/{process.pid}/status").read_text()
    private_kib = int(status.split("RssAnon:")[1].split()[0])
    health = httpx2.get(f"http://127.0.0.1:{worker.port}/readyz", timeout=5.0).json()
    return Sample(
        round((time.monotonic() - began) / 60, 2),
        round(private_kib / 1024, 1),
        process.num_threads(),
        process.num_fds(),
        health["queued"],
    )


def drift(samples: list[Sample], name: str) -> tuple[float, float, bool]:
    """(first window's median, highest later one, flat) of one quantity after minute 5."""
    windows: dict[int, list[float]] = {}
    for one in samples:
        if one.minute >= SETTLED_MIN:
            windows.setdefault(int((one.minute - SETTLED_MIN) // WINDOW_MIN), []).append(
                getattr(one, name)
            )
    medians = [statistics.median(values) for values in windows.values()]
    return medians[0], max(medians), max(medians) <= medians[0] * TOLERANCE


def main() -> None:
    """Run, print a table and one line of JSON; exit 1 unless memory, threads, descriptors are flat."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes = parser.parse_args().minutes
    samples: list[Sample] = []
    with (
        tempfile.TemporaryDirectory(prefix="flexcore-soak-") as folder,
        cluster(Path(folder), workers=1, partitions=PARTITIONS) as bed,
    ):
        worker = bed.workers[0]
        worker.start()
        bed.await_owned()
        codec = load_registry(bed.connection, Topics()).codec()
        load = ShortLived(bed.connection, Topics(), codec, PARTITIONS)
        load.prepare()
        began, over = time.monotonic(), threading.Event()

        def watch() -> None:
            while not over.wait(EVERY_S):
                samples.append(sample(worker, began))
                print(samples[-1], file=sys.stderr)

        watcher = threading.Thread(target=watch)
        watcher.start()
        run = load.run(IN_FLIGHT, minutes * 60, warm_up_s=0.0)
        over.set()
        watcher.join()
        load.close()
    _show(samples, minutes, run.rate_per_s, run.refused + run.lost)


def _show(samples: list[Sample], minutes: float, rate: float, unsound: int) -> None:
    table = Table("quantity", "from minute 5", "highest later", "flat within 5 %")
    flat = {}
    for name in ("private_mib", "threads", "descriptors"):
        first, highest, flat[name] = drift(samples, name)
        table.add_row(name, f"{first:g}", f"{highest:g}", "yes" if flat[name] else "NO")
    table.add_row("queued", "", str(max(one.queued for one in samples)), "")
    Console(stderr=True).print(table)
    result = {
        "benchmark": "soak",
        "minutes": minutes,
        "rate_per_s": round(rate),
        "unsound": unsound,
        "flat": flat,
        "samples": [asdict(one) for one in samples],
    }
    print(json.dumps(result))
    sys.exit(0 if all(flat.values()) and not unsound else 1)


if __name__ == "__main__":
    main()
