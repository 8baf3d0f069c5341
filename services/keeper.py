"""Keeps one process running: when it ends it is started again, unless it ended on purpose.

start ─► ready ─► ended ─┬─ exit 0 or 2, or we are stopping ─► stays down
  ▲                      └─ anything else (70, 71, kill -9) ─► back-off ─┐
  └──────────────────────────────────────────────────────────────────────┘
"""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from domain.errors import FlexCoreError

log = logging.getLogger("flexcore.stack")

# 0: ended as told; 2: its settings are wrong, and would be wrong again.
_FINAL_CODES = frozenset({0, 2})
# The first restart after a healthy run comes at once: the takeover of its partitions waits for it.
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class Running(Protocol):
    """A started process."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        ...

    def stop(self) -> object:
        """End it; may be called again and by another thread."""
        ...


class Keeper:
    """One process by name; `start` returns when it is ready and gives up when the event is set."""

    def __init__(
        self,
        name: str,
        start: Callable[[threading.Event], Running],
        on_change: Callable[[], None],
    ) -> None:
        self.name = name
        self._start = start
        self._on_change = on_change
        self._stopping = threading.Event()
        self._running: Running | None = None
        self._thread = threading.Thread(target=self._keep, name=f"keep-{name}", daemon=True)

    @property
    def pids(self) -> list[int]:
        """The process id, or nothing while it is down."""
        running = self._running
        return [] if running is None else [running.pid]

    def first_start(self) -> Running:
        """Start and keep it from now on; raises what `start` raises."""
        running = self._running = self._start(self._stopping)
        self._thread.start()
        return running

    def stop(self) -> None:
        """End the process and keep it down."""
        self._stopping.set()
        if (running := self._running) is not None:
            running.stop()
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self) -> None:
        while (running := self._running) is not None:
            code = running.wait()
            running.stop()
            self._running = None
            if self._stopping.is_set():
                return
            log.warning("process_ended role=%s pid=%s exit_code=%s", self.name, running.pid, code)
            self._on_change()
            if code not in _FINAL_CODES:
                self._start_again()
                self._on_change()

    def _start_again(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.wait(pause_s):
            try:
                running = self._start(self._stopping)
            except FlexCoreError as error:
                log.warning("process_not_started role=%s why=%s", self.name, error)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            self._running = running
            log.warning("process_restarted role=%s pid=%s", self.name, running.pid)
            if self._stopping.is_set():
                running.stop()
            return
