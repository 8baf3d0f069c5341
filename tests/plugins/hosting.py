"""Running steps through a real host, one line per step."""

import itertools
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from plugins.host import PluginHost
from plugins.step_call import Failed, StepCall, StepResult, Succeeded

PATIENCE_S = 30.0
"""How long a test waits for what must happen; nothing ever takes it but a failing test."""


@dataclass
class Hosted:
    """A host, and the folder that its files come from."""

    host: PluginHost
    files: Path
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def start(
        self, uses: str, *, key: str | None = None, timeout_s: float | None = None, **config: Any
    ) -> "queue.Queue[StepResult]":
        """Submit a step; its result will be in the queue."""
        results: queue.Queue[StepResult] = queue.Queue()
        call = StepCall(key or f"run/s{next(self.numbers)}/1", uses, config, timeout_s, "default")
        self.host.submit(call, results.put)
        return results

    def run(self, uses: str, *, timeout_s: float | None = None, **config: Any) -> StepResult:
        """Submit a step and wait for its result."""
        return self.start(uses, timeout_s=timeout_s, **config).get(timeout=PATIENCE_S)

    def output(self, uses: str, **config: Any) -> dict[str, object]:
        """The output of a step that must succeed."""
        result = self.run(uses, **config)
        assert isinstance(result, Succeeded), result
        return result.output

    def failure(self, uses: str, *, timeout_s: float | None = None, **config: Any) -> Failed:
        """How a step fails that must fail."""
        result = self.run(uses, timeout_s=timeout_s, **config)
        assert isinstance(result, Failed), result
        return result


def told_pid(pipe: Path, start: Callable[[], object]) -> int:
    """Start what announces itself in the named pipe; its process id."""
    os.mkfifo(pipe)
    start()
    return int(pipe.read_text())


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process; a zombie has ended."""
    ended = threading.Event()
    for _ in range(int(PATIENCE_S / 0.01)):
        if not psutil.pid_exists(pid) or _is_zombie(pid):
            return
        ended.wait(0.01)
    raise AssertionError(f"process {pid} is still there")


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
