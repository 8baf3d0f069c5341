"""Real worker processes, restarted when they die, as a supervisor would.

start ──► `python -m services.worker` (slot, port, log) ──► dies ──► exit noted ──► again
"""

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.settings import Settings
from gateway.settings import Worker as WorkerSettings
from services.embedded import ports, process
from services.embedded.jars import ROOT
from services.environment import of_children

READY_WITHIN_S = 120.0
"""A start takes 3 s; here other work may hold both cores."""
STILL_S = 90.0
"""Longer than a worker's start and the fence of its transactions on a loaded machine."""
AT_MOST_S = 1_800.0
POLL_S = 0.05
BACK_OFF_S = 0.2


@dataclass(slots=True)
class Slot:
    """One worker's place; `running` changes with every restart."""

    number: int
    port: int
    log: Path
    running: process.Supervised | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """Of the process that runs now, 0 between two."""
        running = self.running
        return 0 if running is None else running.pid

    def health(self) -> dict[str, Any]:
        """What /readyz says, `{}` where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2.0)
        try:
            connection.request("GET", "/readyz")
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        else:
            return found
        finally:
            connection.close()

    def ready(self) -> bool:
        return bool(self.health().get("ready"))


class Workers:
    """`count` workers over one data folder; `exits` tells how each process ended before the stop."""

    def __init__(self, settings: Settings, count: int) -> None:
        logs = settings.data_dir / "logs"
        taken: set[int] = set()
        self.slots: list[Slot] = []
        for number in range(count):
            port = ports.pick(avoid=frozenset(taken))
            taken.add(port)
            self.slots.append(Slot(number, port, logs / f"worker-{number}.log"))
        self.exits: list[str] = []
        self._settings = settings
        self._stopping = threading.Event()
        self._keepers = [
            threading.Thread(target=self._keep, args=(slot,), name=f"keeper-{slot.number}")
            for slot in self.slots
        ]

    def start(self) -> None:
        """Start all and wait until each is ready. Raises TimeoutError."""
        for keeper in self._keepers:
            keeper.start()
        for slot in self.slots:
            until(slot.ready, READY_WITHIN_S, f"worker {slot.number} ready")

    def stop(self) -> None:
        """End all in order; returns when they are gone."""
        self._stopping.set()
        for keeper in self._keepers:
            keeper.join()

    def _keep(self, slot: Slot) -> None:
        while not self._stopping.is_set():
            running = slot.running = self._spawn(slot)
            while (code := running.poll()) is None and not self._stopping.wait(POLL_S):
                pass
            if code is not None:
                self.exits.append(f"slot {slot.number} pid {running.pid} exit {code}")
            running.stop()
            slot.running = None
            self._stopping.wait(BACK_OFF_S)

    def _spawn(self, slot: Slot) -> process.Supervised:
        worker = WorkerSettings(
            slot=slot.number,
            web_port=slot.port,
            session_timeout_s=self._settings.worker.session_timeout_s,
        )
        settings = self._settings.model_copy(update={"worker": worker})
        return process.start(
            [sys.executable, "-m", "services.worker"],
            log=slot.log,
            env=of_children(settings, self._settings.data_dir / "secrets" / str(slot.number)),
            cwd=ROOT,
        )


def until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    """Return when the condition holds. Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not seen within {within_s:.0f} s")
        pause.wait(POLL_S)


def until_still(condition: Callable[[], bool], progress: Callable[[], int], what: str) -> None:
    """Like `until`, as long as `progress` grows. Raises TimeoutError once it stands still."""
    seen, since = progress(), time.monotonic()

    def met() -> bool:
        nonlocal seen, since
        if (now := progress()) > seen:
            seen, since = now, time.monotonic()
        if time.monotonic() - since > STILL_S:
            raise TimeoutError(f"{what} was not seen; nothing happened for {STILL_S:.0f} s")
        return condition()

    until(met, AT_MOST_S, what)
