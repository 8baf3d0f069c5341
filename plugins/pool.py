"""The host's children: kept at their number, watched for input, replaced when they are done with.

Used under the host's lock, by its thread; only `idle` and `due_at` also by those who submit.
"""

import itertools
import selectors
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plugins.builtin import BUILTIN
from plugins.child_process import ChildProcess
from plugins.outside import Outside
from plugins.seat import Seat

START_ATTEMPTS = 5
"""Children that die before they are ready, in a row, until waiting steps are told so."""
_FIRST_BACK_OFF_S = 0.1
_MAX_BACK_OFF_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginHostSettings:
    """What the host gives its children, and how much of it.

    `blobs`: folder of the blob store; `files_root`: folder that pipelines' paths are relative to;
    `outside`: what else steps may reach; `table`: step name → `module:function`; `scratch`: folder of
    this host alone for the children's working folders, emptied at its start (a temporary one where none
    is named, which a killed host leaves behind). A child is replaced after `steps_per_child` steps, so
    that leaks end.
    """

    blobs: Path
    files_root: Path
    outside: Outside = field(default_factory=Outside)
    scratch: Path | None = None
    size: int = 2
    queue_limit: int = 10_000
    default_timeout_s: float = 3_600.0
    kill_after_s: float = 2.0
    steps_per_child: int = 10_000
    max_memory_bytes: int = 2 * 1024**3
    table: Mapping[str, str] = field(default_factory=lambda: BUILTIN)

    def hello(self) -> dict[str, object]:
        """The first message to every child."""
        return {
            "blobs": str(self.blobs.resolve()),
            "files_root": str(self.files_root.resolve()),
            "outside": self.outside.to_json(),
            "max_memory_bytes": self.max_memory_bytes,
            "table": dict(self.table),
        }


class Pool:
    """Seats, their file descriptors in the selector, and the back-off of failed starts."""

    def __init__(self, settings: PluginHostSettings, selector: selectors.BaseSelector) -> None:
        self.seats: list[Seat] = []
        self.failed_starts = 0
        self.problem = ""
        self._settings = settings
        self._selector = selector
        self._scratch = _emptied(settings.scratch)
        self._numbers = itertools.count(1)
        self._next_start = 0.0

    def idle(self) -> Seat | None:
        return next((seat for seat in self.seats if seat.is_idle), None)

    def due_at(self) -> float:
        """When the pool has something to do next; infinite when never."""
        times = [seat.due_at for seat in self.seats]
        missing = [self._next_start] if len(self.seats) < self._settings.size else []
        return min([time for time in times if time is not None] + missing, default=float("inf"))

    def refill(self, now: float) -> None:
        """Start what is missing, unless starting has just failed."""
        while len(self.seats) < self._settings.size and now >= self._next_start:
            scratch = self._scratch / str(next(self._numbers))
            try:
                process = ChildProcess(scratch, self._settings.hello())
            except OSError as error:
                self._note_failure(f"no process could be started: {error}", now)
                return
            seat = Seat(process, now=now, kill_after_s=self._settings.kill_after_s)
            self.seats.append(seat)
            self._selector.register(process.socket, selectors.EVENT_READ, seat)
            self._selector.register(process.output, selectors.EVENT_READ, seat)

    def watch(self) -> None:
        """Listen to what is still open, and ask for writability exactly where something is unsent."""
        watched = self._selector.get_map()
        for seat in self.seats:
            if seat.process.output_ended and seat.process.output in watched:
                self._selector.unregister(seat.process.output)
            wanted = selectors.EVENT_READ
            if seat.process.has_unsent:
                wanted |= selectors.EVENT_WRITE
            if self._selector.get_key(seat.process.socket).events != wanted:
                self._selector.modify(seat.process.socket, wanted, seat)
            if seat.ready:
                self.failed_starts = 0

    def remove(self, seat: Seat, now: float) -> None:
        """Forget a retired child and give back all that belonged to it."""
        self.seats.remove(seat)
        self._selector.unregister(seat.process.socket)
        if seat.process.output in self._selector.get_map():
            self._selector.unregister(seat.process.output)
        seat.process.close()
        if not seat.ready:
            self._note_failure(seat.problem, now)

    def close(self) -> None:
        """End every child."""
        for seat in list(self.seats):
            seat.retire()
            self.remove(seat, 0.0)
        shutil.rmtree(self._scratch)

    def _note_failure(self, problem: str, now: float) -> None:
        self.failed_starts += 1
        self.problem = problem
        back_off = _FIRST_BACK_OFF_S * 2.0 ** min(self.failed_starts - 1, 10)
        self._next_start = now + min(_MAX_BACK_OFF_S, back_off)


def _emptied(scratch: Path | None) -> Path:
    if scratch is None:
        return Path(tempfile.mkdtemp(prefix="flexcore-steps-"))
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.mkdir(parents=True)
    return scratch.resolve()
