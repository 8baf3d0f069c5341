"""Real worker processes, restarted when they die, as a supervisor would.

start ──► `python -m services.worker` (slot, port, log) ──► dies ──► exit noted ──► again
                                     armed: FLEXCORE_FAILPOINT in the environment of one process
"""

import http.client
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from gateway.settings import Settings
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
MAX_FALSE_STARTS = 6


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: its exit code as a shell tells it (128 + n after signal n)."""

    slot: int
    pid: int
    code: int
    at: float


@dataclass(slots=True)
class Slot:
    """One worker's place; `running` changes with every restart.

    `next_environment` is for the next process alone; `kept` is false while nobody is to be started.
    """

    number: int
    port: int
    log: Path
    bootstrap: str
    running: process.Supervised | None = field(default=None, repr=False)
    next_environment: Mapping[str, str] = field(default_factory=dict)
    kept: bool = True

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

    def said(self, event: str, since: int = 0) -> int:
        """How often its log names an event, from the byte `since` on."""
        with self.log.open("rb") as file:
            file.seek(since)
            return file.read().count(event.encode())

    def log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0


class Workers:
    """Workers over one data folder, the first `count` of the slots from the start."""

    def __init__(
        self,
        settings: Settings,
        count: int,
        bootstraps: Mapping[int, str] | None = None,
        *,
        module: str = "services.worker",
    ) -> None:
        self._module = module
        self._settings = settings
        self._bootstraps = bootstraps or {}
        self._taken: set[int] = set()
        self.slots: list[Slot] = []
        self.exits: list[Exit] = []
        self._stopping = threading.Event()
        self._keepers: list[threading.Thread] = []
        for _ in range(count):
            self._place()

    def start(self) -> None:
        """Start all and wait until each is ready. Raises TimeoutError."""
        for keeper in self._keepers:
            keeper.start()
        for slot in self.slots:
            until(lambda s=slot: self._started(s), READY_WITHIN_S, f"worker {slot.number} ready")  # type: ignore[misc]

    def join(self) -> Slot:
        """Start one more; returns at once."""
        slot = self._place()
        self._keepers[-1].start()
        return slot

    def stop(self) -> None:
        """End all in order; returns when they are gone."""
        self._stopping.set()
        for keeper in self._keepers:
            if keeper.ident is not None:
                keeper.join()

    def _started(self, slot: Slot) -> bool:
        """Raises RuntimeError where the workers end by themselves: nothing can be tried on them."""
        if len(self.exits) > MAX_FALSE_STARTS:
            raise RuntimeError(f"workers do not start; see {slot.log}")
        return slot.ready()

    def exit_of(self, pid: int) -> Exit | None:
        """How a process ended, `None` while it runs."""
        return next((one for one in reversed(self.exits) if one.pid == pid), None)

    def _place(self) -> Slot:
        number = len(self.slots)
        port = ports.pick(avoid=frozenset(self._taken))
        self._taken.add(port)
        bootstrap = self._bootstraps.get(number) or self._settings.kafka.bootstrap or ""
        log = self._settings.data_dir / "logs" / f"worker-{number}.log"
        slot = Slot(number, port, log, bootstrap)
        self.slots.append(slot)
        self._keepers.append(
            threading.Thread(target=self._keep, args=(slot,), name=f"keeper-{number}")
        )
        return slot

    def _keep(self, slot: Slot) -> None:
        while not self._stopping.is_set():
            if not slot.kept:
                self._stopping.wait(POLL_S)
                continue
            running = slot.running = self._spawn(slot)
            while (code := running.poll()) is None and not self._stopping.wait(POLL_S):
                pass
            if code is not None:
                self.exits.append(Exit(slot.number, running.pid, code, time.time()))
            # A stopped process hears no signal but this one.
            _continue(running.pid)
            running.stop()
            slot.running = None
            self._stopping.wait(BACK_OFF_S)

    def _spawn(self, slot: Slot) -> process.Supervised:
        own = {"slot": slot.number, "web_port": slot.port}
        worker = self._settings.worker.model_copy(update=own)
        kafka = self._settings.kafka.model_copy(update={"bootstrap": slot.bootstrap})
        settings = self._settings.model_copy(update={"worker": worker, "kafka": kafka})
        environment = of_children(settings, self._settings.data_dir / "secrets" / str(slot.number))
        armed, slot.next_environment = slot.next_environment, {}
        return process.start(
            [sys.executable, "-m", self._module],
            log=slot.log,
            env={**environment, **armed},
            cwd=ROOT,
        )


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    return state(pid) not in ("", str(psutil.STATUS_ZOMBIE))


def state(pid: int) -> str:
    """psutil's word for it, empty where there is no such process."""
    try:
        return str(psutil.Process(pid).status())
    except psutil.NoSuchProcess:
        return ""


def _continue(pid: int) -> None:
    if state(pid) == psutil.STATUS_STOPPED:
        os.kill(pid, signal.SIGCONT)


def until(condition: Callable[[], bool], within_s: float, what: str) -> None:
    """Return when the condition holds. Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not seen within {within_s:.0f} s")
        pause.wait(POLL_S)


def until_still(
    condition: Callable[[], bool],
    progress: Callable[[], int],
    what: str,
    still_s: float = STILL_S,
) -> None:
    """Like `until`, as long as `progress` grows. Raises TimeoutError once it stands still."""
    seen, since = progress(), time.monotonic()

    def met() -> bool:
        nonlocal seen, since
        if (now := progress()) > seen:
            seen, since = now, time.monotonic()
        if time.monotonic() - since > still_s:
            raise TimeoutError(f"{what} was not seen; nothing happened for {still_s:.0f} s")
        return condition()

    until(met, AT_MOST_S, what)
