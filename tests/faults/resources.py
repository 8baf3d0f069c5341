"""What workers take while they are harmed: memory, threads and descriptors stay within bounds."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

from tests.faults.report import Report

EVERY_S = 2.0
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one worker process. Seen in long segments: see docs/faults.md."""

    rss_mb: int = 900
    threads: int = 150
    descriptors: int = 600

    @classmethod
    def of(cls, brokers: int) -> "Bounds":
        """A client has a thread for each broker it knows."""
        return cls(threads=100 + 50 * brokers)


class Watch(threading.Thread):
    """Looks at every process that `pids` names; keeps the most that was seen."""

    def __init__(self, pids: Callable[[], Iterable[int]], bounds: Bounds) -> None:
        super().__init__(name="resources", daemon=True)
        self._pids = pids
        self._bounds = bounds
        self._stopping = threading.Event()
        self.most = {"rss_mb": 0, "threads": 0, "descriptors": 0}

    def run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            for pid in self._pids():
                self._look(pid)

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def _look(self, pid: int) -> None:
        try:
            process = psutil.Process(pid)
            found = {
                "rss_mb": process.memory_info().rss // MIB,
                "threads": process.num_threads(),
                "descriptors": process.num_fds(),
            }
        except psutil.Error:
            # It was killed meanwhile, which is what happens here.
            return
        for name, value in found.items():
            self.most[name] = max(self.most[name], value)

    def check(self, report: Report) -> None:
        """Take what was too much into the report."""
        for name, value in self.most.items():
            report.counts[f"most {name}"] = value
            allowed = getattr(self._bounds, name)
            if value > allowed:
                what = f"a worker had {value} {name}; {allowed} are allowed"
                report.violate("resources", what)
