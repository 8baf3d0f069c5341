"""Does harm to workers and shows that it hit.

kill   SIGKILL with commands outstanding, at any moment or in a transaction whose events are in the
       log (stopped, looked at, killed or continued and tried again) ─► 50 answers of the next process
pause  SIGSTOP with steps in flight ─► another worker answers ─► SIGCONT ─► 50 answers after it
"""

import os
import signal
import threading
import time
from dataclasses import dataclass
from typing import Any

import psutil

from tests.faults.answers import Board
from tests.faults.history import Fault, History
from tests.faults.open_transactions import OpenTransactions
from tests.faults.workers import Slot, until

ANSWERS_BETWEEN = 50
"""So many answers show that a worker is at work again before the next fault."""
WITHIN_S = 180.0
BUSY_WITHIN_S = 60.0
TRIES = 300


@dataclass(frozen=True, slots=True)
class Nemesis:
    """Used by one thread."""

    board: Board
    history: History
    transactions: OpenTransactions

    def kill(self, slot: Slot, *, in_transaction: bool) -> Fault:
        """kill -9 a worker that has work and wait until its successor has answered enough."""
        steps, outstanding = self._busy(slot)
        pid = slot.pid
        torn = self._stop_in_transaction(pid) if in_transaction else []
        start, hit = time.time(), len(outstanding)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not _alive(pid), WITHIN_S, f"the end of {pid}")
        accepted = self.board.accepted
        until(lambda: slot.pid not in (0, pid), WITHIN_S, f"a successor of {pid}")
        successor = slot.pid
        silent_s = self._await_answers(slot, start)
        evidence = {
            "gone": not _alive(pid),
            "in_transaction": torn,
            "outstanding": hit,
            "steps_in_flight": steps,
            "successor": successor,
            "first_answer_s": silent_s,
            "answers_of_successor": self.board.answers_of(slot.pid),
            "accepted_after": self.board.accepted - accepted,
        }
        sound = hit > 0 and bool(torn) == in_transaction
        return self._note("kill", slot, pid, start, sound, evidence)

    def _stop_in_transaction(self, pid: int) -> list[str]:
        """Stop a process while its events stand uncommitted in the log; returns where, if anywhere."""
        pause = threading.Event()
        for attempt in range(TRIES):
            os.kill(pid, signal.SIGSTOP)
            until(lambda: _state(pid) == psutil.STATUS_STOPPED, WITHIN_S, f"{pid} stopped")
            if found := self.transactions.seen():
                return found
            os.kill(pid, signal.SIGCONT)
            # Steps of its own length, so that no rhythm of the lane's is met again and again.
            pause.wait(0.003 + 0.0007 * (attempt % 31))
        return []

    def pause(self, slot: Slot, seconds: float) -> Fault:
        """Stop a worker for a while, continue it, and wait until it has answered enough."""
        steps, outstanding = self._busy(slot)
        places = _places(slot.health())
        pid, start = slot.pid, time.time()
        os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: _state(pid) == psutil.STATUS_STOPPED, WITHIN_S, f"{pid} stopped")
            others = self.board.answers_by_others(pid)
            takers = self.board.answers_by_others(pid, places)
            threading.Event().wait(seconds)
            stopped = _state(pid) == psutil.STATUS_STOPPED
            others = self.board.answers_by_others(pid) - others
            takers = self.board.answers_by_others(pid, places) - takers
        finally:
            os.kill(pid, signal.SIGCONT)
        evidence = {
            "stopped": stopped,
            "outstanding": len(outstanding),
            "steps_in_flight": steps,
            "answers_by_others": others,
            "answers_by_others_for_its_partitions": takers,
            "partitions": len(places),
            "first_answer_s": self._await_answers(slot, time.time()),
            "process_after": slot.pid,
        }
        sound = stopped and others > 0 and steps > 0 and len(outstanding) > 0
        return self._note("pause", slot, pid, start, sound, evidence)

    def _busy(self, slot: Slot) -> tuple[int, list[Any]]:
        """Wait for steps in flight and commands outstanding; at the end of patience, what there is."""
        deadline = time.monotonic() + BUSY_WITHIN_S
        pause = threading.Event()
        while True:
            steps = int(slot.health().get("steps_running", 0))
            outstanding = self.board.outstanding
            if (steps and outstanding) or time.monotonic() > deadline:
                return steps, outstanding
            pause.wait(0.02)

    def _await_answers(self, slot: Slot, since: float) -> float:
        """Seconds from `since` to the first new answer of the slot's process, once it gave enough."""
        before = {slot.pid: self.board.answers_of(slot.pid)}
        first: list[float] = []

        def answered() -> bool:
            pid = slot.pid
            count = self.board.answers_of(pid) - before.setdefault(pid, 0)
            if count and not first:
                first.append(time.time())
            return pid != 0 and count >= ANSWERS_BETWEEN

        until(answered, WITHIN_S, f"{ANSWERS_BETWEEN} answers of slot {slot.number}")
        return round(first[0] - since, 2)

    def _note(
        self, what: str, slot: Slot, pid: int, start: float, sound: bool, evidence: dict[str, Any]
    ) -> Fault:
        fault = Fault(
            fault=what,
            slot=slot.number,
            pid=pid,
            start=start,
            end=time.time(),
            sound=sound,
            evidence=evidence,
        )
        self.history.add(fault)
        return fault


def _alive(pid: int) -> bool:
    return _state(pid) not in ("", str(psutil.STATUS_ZOMBIE))


def _state(pid: int) -> str:
    try:
        return str(psutil.Process(pid).status())
    except psutil.NoSuchProcess:
        return ""


def _places(health: dict[str, Any]) -> frozenset[tuple[str, int]]:
    found = (place.rpartition("/") for place in health.get("partitions", ()))
    return frozenset((context, int(number)) for context, _, number in found)
