"""What the figures depend on: the processor, the disk's fsync, and who else is at work."""

import os
import platform
import statistics
import time
from pathlib import Path

_FSYNCS = 200
_BLOCK = bytes(4096)
_QUIET = 0.15
"""Share of all cores: idle servers and a desktop stay below, a projector that catches up does not."""
_PROC_STAT = Path("/proc/stat")


def description() -> str:
    """Cores, system and Python."""
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def fsync_ms(folder: Path) -> dict[str, float]:
    """Median and 99th percentile of 200 writes of 4 KiB with an fsync each, in milliseconds."""
    path = folder / "fsync"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_FSYNCS):
            start = time.perf_counter()
            file.write(_BLOCK)
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - start) * 1000)
    path.unlink()
    return {
        "p50": round(statistics.median(taken), 3),
        "p99": round(sorted(taken)[int(_FSYNCS * 0.99)], 3),
    }


def settle(at_most_s: float = 10.0) -> float:
    """Wait until the machine is quiet, at most so long; returns the share of it that was busy last.

    A peer's run must not pay for what the one before left to do (a projector, a checkpoint). Where the system
    does not tell (no /proc), a second passes and the share is 0.
    """
    if not _PROC_STAT.exists():
        time.sleep(1.0)
        return 0.0
    deadline = time.monotonic() + at_most_s
    while True:
        before = _busy_and_all()
        time.sleep(0.4)
        after = _busy_and_all()
        busy = (after[0] - before[0]) / max(1, after[1] - before[1])
        if busy < _QUIET or time.monotonic() > deadline:
            return round(busy, 2)


def _busy_and_all() -> tuple[int, int]:
    """Clock ticks of all cores since the start of the system (proc(5): idle and iowait are 4th and 5th)."""
    first = _PROC_STAT.read_text("ascii").partition("\n")[0]
    ticks = [int(part) for part in first.split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)
