"""What every fault has in common: a victim under load, evidence that it hit, and the way back.

start ─► harm ─► evidence ─► the victim's next process has answered ANSWERS_BETWEEN commands ─► Fault
"""

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.faults.answers import Board
from tests.faults.cluster import Cluster
from tests.faults.fault_client import FaultClient
from tests.faults.history import Fault
from tests.faults.open_transactions import OpenTransactions
from tests.faults.running import PARTITIONS, Served
from tests.faults.workers import Slot, alive, until

ANSWERS_BETWEEN = 20
"""So many answers show that a worker is at work again before the next fault."""
OK_IN_WINDOW = 100
"""Fewer accepted commands between a fault's start and the way back prove nothing."""
RECOVERED_WITHIN_S = 120.0


class Claims:
    """Which workers are somebody's victims: no two trials at a time harm the same one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[int] = set()

    def take(self, slot: Slot) -> bool:
        """Whether it was nobody's, and is ours now."""
        with self._lock:
            free = slot.number not in self._taken
            self._taken.add(slot.number)
            return free

    def give_back(self, slots: list[Slot]) -> None:
        with self._lock:
            self._taken -= {slot.number for slot in slots}


@dataclass(frozen=True, slots=True)
class Field:
    """Where faults are done; used by one thread, others have their own over the same `claims`."""

    served: Served
    cluster: Cluster
    chance: random.Random
    client: FaultClient
    session_s: float
    claims: Claims = field(default_factory=Claims)
    _claimed: list[Slot] = field(default_factory=list)

    def victim(self) -> Slot:
        """A worker that is at work and nobody else's victim, until `end`."""
        found: list[Slot] = []

        def some() -> bool:
            found.extend(self.claim())
            return bool(found)

        until(some, RECOVERED_WITHIN_S, "a worker that is ready")
        return found[0]

    def claim(self) -> list[Slot]:
        """One worker that is at work and nobody's victim, if there is one."""
        slots = self.served.workers.slots
        for slot in self.chance.sample(slots, len(slots)):
            if slot.kept and slot.ready() and self.claims.take(slot):
                self._claimed.append(slot)
                return [slot]
        return []

    def end(self) -> None:
        """Of a trial: its victims may be others' again."""
        self.claims.give_back(self._claimed)
        self._claimed.clear()

    def open_transactions(self) -> OpenTransactions:
        return OpenTransactions(self.served.connection, self.served.topics, PARTITIONS)

    def busy(self) -> int:
        """Wait until commands are outstanding; returns how many."""
        until(lambda: self.served.board.unanswered > 0, 30.0, "outstanding commands")
        return self.served.board.unanswered

    def gone(self, slot: Slot, pid: int, within_s: float = 60.0) -> int:
        """Wait until a process has ended; returns its exit code. Raises TimeoutError."""
        until(lambda: self.served.workers.exit_of(pid) is not None, within_s, f"the end of {pid}")
        found = self.served.workers.exit_of(pid)
        assert found is not None
        assert not alive(pid), f"{pid} of slot {slot.number} has an exit code, yet is there"
        return found.code

    def successor(self, slot: Slot, pid: int) -> int:
        """Wait for a slot's next process; returns its id."""
        until(lambda: slot.pid not in (0, pid), 60.0, f"a successor of {pid}")
        return slot.pid


class Trial:
    """One fault from its start; `hit` collects evidence, `done` ends it."""

    def __init__(self, on: Field, fault: str, kind: str, slot: Slot | None = None) -> None:
        self.on = on
        self.slot = slot
        self.pid = 0 if slot is None else slot.pid
        self.log_at = 0 if slot is None else slot.log_size()
        self.start = time.time()
        self._fault, self._kind = fault, kind
        self._accepted = on.served.board.accepted
        self._evidence: dict[str, Any] = {}

    def hit(self, **evidence: Any) -> None:
        self._evidence |= evidence

    def said(self, *events: str) -> dict[str, int]:
        """How often the victim's log named these since the start."""
        assert self.slot is not None
        counts = {event: self.slot.said(event, self.log_at) for event in events}
        return {event: count for event, count in counts.items() if count}

    def recovered(self, *slots: Slot) -> None:
        """Wait until these workers (the victim unless said) have answered enough again."""
        for slot in slots or ([self.slot] if self.slot else []):
            again = _Again(self.on.served.board, slot)
            until(again.enough, RECOVERED_WITHIN_S, f"{ANSWERS_BETWEEN} answers of {slot.number}")
            if slot is self.slot:
                self.hit(answers_again_s=again.first_s)

    def done(self, *, sound: bool) -> Fault:
        """The fault, told to the history; without enough successes meanwhile it is void."""
        board = self.on.served.board
        with suppress(TimeoutError):
            until(lambda: board.accepted - self._accepted >= OK_IN_WINDOW, 10.0, "successes")
        accepted = board.accepted - self._accepted
        self.hit(accepted=accepted)
        found = Fault(
            fault=self._fault,
            kind=self._kind,
            slot=-1 if self.slot is None else self.slot.number,
            pid=self.pid,
            start=self.start,
            end=time.time(),
            sound=sound and accepted >= OK_IN_WINDOW,
            evidence=self._evidence,
        )
        self.on.served.history.add(found)
        return found


class _Again:
    """Counts the answers of whatever process a slot has; another process starts at none."""

    def __init__(self, board: Board, slot: Slot) -> None:
        self._board, self._slot = board, slot
        self._since = time.time()
        self._before: dict[int, int] = {}
        self.first_s = 0.0

    def enough(self) -> bool:
        pid = self._slot.pid
        answers = self._board.answers_of(pid)
        count = answers - self._before.setdefault(pid, answers)
        if count and not self.first_s:
            self.first_s = round(time.time() - self._since, 2)
        return pid != 0 and count >= ANSWERS_BETWEEN


def rest(seconds: float) -> None:
    """Let a fault last."""
    threading.Event().wait(seconds)
