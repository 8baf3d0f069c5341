"""Faults done to worker processes: killed, stopped for a while, told to end, made to come and go.

F01 kill -9 at random, in an open transaction, at each failpoint     F02 SIGSTOP longer than the session
F05 a storm of leaving and joining                                   F25 SIGTERM, once, twice, at a start
F36 a lane that stands still for 5 s, a process that stands still for less than the session
"""

import os
import signal
import threading
from contextlib import suppress

import psutil
from confluent_kafka import KafkaException

from streams.failpoints import EXIT_KILLED, VARIABLE, Failpoint
from tests.faults.harm import Field, Trial, rest
from tests.faults.history import Fault
from tests.faults.workers import Slot, state, until

TRIES = 300
IN_FENCE = (Failpoint.IN_FENCE_AFTER_SLOTS, Failpoint.IN_FENCE_BEFORE_OPEN)
ELSEWHERE = (Failpoint.STALL_LANE, Failpoint.API_AFTER_PRODUCE)
"""Not deaths of a worker: they have rows of their own."""
RARE = (
    Failpoint.INTERNAL_BEFORE_COMMIT,
    Failpoint.INTERNAL_AFTER_COMMIT,
    Failpoint.AFTER_REVOCATION,
)
OFTEN = 40
"""A worker under a campaign's load passes the places of a transaction about as often in four seconds."""
DIES_WITHIN_S = 60.0
REBALANCED_WITHIN_S = 20.0
TAKEN_WITHIN_S = 20.0
GRACE_S = 30.0
STALL_SEEN_S = 4.0


def kill(on: Field, kind: str) -> Fault:
    """kill -9 at any moment, or while events of an open transaction stand in the log."""
    slot = on.victim()
    trial = Trial(on, "F01", kind, slot)
    outstanding = on.busy()
    torn = _stop_in_transaction(on, slot) if kind == "in transaction" else []
    os.kill(trial.pid, signal.SIGKILL)
    code = on.gone(slot, trial.pid)
    trial.hit(outstanding=outstanding, in_transaction=torn, exit=code)
    on.successor(slot, trial.pid)
    trial.recovered()
    return trial.done(sound=outstanding > 0 and bool(torn) == (kind == "in transaction"))


def _stop_in_transaction(on: Field, slot: Slot) -> list[str]:
    """Stop a worker while its events stand uncommitted in the log; returns where, if anywhere."""
    pid = slot.pid
    look = on.open_transactions()
    own = {f"{on.served.topics.events(c)}/{number}" for c, number in _places(slot)}

    def open_() -> set[str]:
        # A partition whose leader moves just now tells nothing.
        with suppress(KafkaException):
            return own.intersection(look.seen())
        return set()

    for attempt in range(TRIES):
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state(pid) == psutil.STATUS_STOPPED, 10.0, f"{pid} stopped")
        # Somebody else's transaction is over by the second look.
        if open_() and (found := open_()):
            return sorted(found)
        os.kill(pid, signal.SIGCONT)
        # Steps of its own length, so that no rhythm of the lane's is met again and again.
        rest(0.003 + 0.0007 * (attempt % 31))
    return []


def armed(on: Field, slot: Slot, point: Failpoint, times: int) -> int:
    """Restart a worker with a failpoint in force; returns the new process."""
    before = slot.pid
    slot.next_environment = {VARIABLE: f"{point.value}:{times}"}
    os.kill(before, signal.SIGTERM)
    on.gone(slot, before)
    return on.successor(slot, before)


def failpoint(on: Field, kind: str) -> Fault:
    """A worker dies at a named place of the write path, at its n-th time there."""
    point = Failpoint(kind)
    slot = on.victim()
    trial = Trial(on, "F01", kind, slot)
    times = _times(on, point)
    pid = trial.pid = armed(on, slot, point, times)
    if point is Failpoint.AFTER_REVOCATION or (point in IN_FENCE and times > 1):
        _rebalance(on, slot, pid)
    try:
        code = on.gone(slot, pid, DIES_WITHIN_S)
    except TimeoutError:
        # Never reached: it may not die in somebody else's trial.
        os.kill(pid, signal.SIGTERM)
        code = on.gone(slot, pid)
    trial.hit(times=times, exit=code)
    on.successor(slot, pid)
    trial.recovered()
    return trial.done(sound=code == EXIT_KILLED)


def _times(on: Field, point: Failpoint) -> int:
    if point is Failpoint.IN_FENCE_AFTER_SLOTS:
        return 1
    if point in IN_FENCE:
        return on.chance.choice((1, 1, 2))
    return on.chance.randint(1, 3) if point in RARE else on.chance.randint(1, OFTEN)


def _rebalance(on: Field, slot: Slot, pid: int) -> None:
    """Make another worker leave and come back once this one serves."""
    until(lambda: slot.pid != pid or slot.ready(), DIES_WITHIN_S, f"{pid} ready or gone")
    others: list[Slot] = []

    def another() -> bool:
        others.extend(on.claim() if slot.pid == pid else ())
        return bool(others) or slot.pid != pid

    # Where each of the others is a victim already, they make the group rebalance by themselves.
    with suppress(TimeoutError):
        until(another, REBALANCED_WITHIN_S, "another worker")
    for other in others:
        if other.pid:
            os.kill(other.pid, signal.SIGTERM)


def pause(on: Field, kind: str) -> Fault:
    """Stop a worker for 1.5 sessions: others take over, and what comes back is a zombie."""
    slot = on.victim()
    trial = Trial(on, "F02", kind, slot)
    outstanding = on.busy()
    places = _places(slot)
    board, pid = on.served.board, trial.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: state(pid) == psutil.STATUS_STOPPED, 10.0, f"{pid} stopped")
        takers = board.answers_by_others(pid, places)
        # The successors' rebalance and fence come after the session has run out.
        rest(on.session_s * 1.5 + on.chance.random() * 2)
        with suppress(TimeoutError):
            until(lambda: board.answers_by_others(pid, places) > takers, TAKEN_WITHIN_S, "takers")
        stopped = state(pid) == psutil.STATUS_STOPPED
        takers = board.answers_by_others(pid, places) - takers
    finally:
        os.kill(pid, signal.SIGCONT)
    trial.hit(outstanding=outstanding, stopped=stopped, answers_of_takers=takers)
    trial.recovered()
    trial.hit(process_after=slot.pid, **trial.said("transaction_failed"))
    return trial.done(sound=stopped and outstanding > 0 and takers > 0)


def short_pause(on: Field, kind: str) -> Fault:
    """Stop a worker for less than its session."""
    slot = on.victim()
    trial = Trial(on, "F36", kind, slot)
    os.kill(trial.pid, signal.SIGSTOP)
    rest(on.session_s * on.chance.uniform(0.2, 0.8))
    stopped = state(trial.pid) == psutil.STATUS_STOPPED
    os.kill(trial.pid, signal.SIGCONT)
    trial.hit(stopped=stopped)
    trial.recovered()
    return trial.done(sound=stopped)


def stall(on: Field, kind: str) -> Fault:
    """The lane stands still for 5 s in the middle of its work."""
    slot = on.victim()
    trial = Trial(on, "F36", kind, slot)
    pid = trial.pid = armed(on, slot, Failpoint.STALL_LANE, on.chance.randint(20, OFTEN))
    board = on.served.board
    until(
        lambda: slot.pid != pid or board.longest_silence(pid) > STALL_SEEN_S,
        DIES_WITHIN_S,
        f"a silence of {pid}",
    )
    trial.recovered()
    silent_s = round(board.longest_silence(pid), 2)
    trial.hit(silent_s=silent_s, same_process=slot.pid == pid)
    return trial.done(sound=silent_s > STALL_SEEN_S)


def terminate(on: Field, kind: str) -> Fault:
    """SIGTERM: in the middle of work, twice, or to a process that just starts."""
    slot = on.victim()
    trial = Trial(on, "F25", kind, slot)
    outstanding = on.busy()
    pid = slot.pid
    if kind == "at a start":
        os.kill(pid, signal.SIGKILL)
        on.gone(slot, pid)
        pid = trial.pid = on.successor(slot, pid)
        rest(on.chance.uniform(0.05, 3.0))
    os.kill(pid, signal.SIGTERM)
    if kind == "twice":
        rest(on.chance.uniform(0.0, 0.5))
        if state(pid):
            os.kill(pid, signal.SIGTERM)
    code = on.gone(slot, pid, GRACE_S)
    trial.hit(outstanding=outstanding, exit=code)
    on.successor(slot, pid)
    trial.recovered()
    # Before the interpreter has come to the handler, the signal ends the process by itself.
    allowed = (0, 128 + signal.SIGTERM) if kind == "at a start" else (0,)
    return trial.done(sound=code in allowed)


def storm(on: Field, kind: str) -> Fault:
    """Workers leave (in order or not) and join faster than the group comes to rest."""
    trial = Trial(on, "F05", kind)
    events = []
    for _ in range(on.chance.randint(4, 6)):
        slot = on.chance.choice(on.served.workers.slots)
        pid = slot.pid
        if pid:
            sign = on.chance.choice((signal.SIGTERM, signal.SIGKILL))
            os.kill(pid, sign)
            events.append(f"{sign.name} {slot.number}")
        rest(on.chance.uniform(0.3, 2.5))
    trial.hit(events=events)
    trial.recovered(*on.served.workers.slots)
    return trial.done(sound=len(events) >= 3)


def everything(on: Field, kind: str) -> Fault:
    """kill -9 of every worker and broker at once; they come back in any order."""
    trial = Trial(on, "F34", kind)
    outstanding = on.busy()
    killed = [slot.pid for slot in on.served.workers.slots if slot.pid]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    broker = on.cluster.brokers[0]
    on.cluster.kill(broker)
    late_s = on.chance.choice((0.0, 0.5, 3.0))
    rest(late_s)
    up = threading.Thread(target=on.cluster.restart, args=(broker,))
    up.start()
    up.join()
    trial.hit(outstanding=outstanding, killed=len(killed), broker_late_s=late_s)
    trial.recovered(*on.served.workers.slots)
    return trial.done(sound=outstanding > 0 and bool(killed))


def _places(slot: Slot) -> frozenset[tuple[str, int]]:
    found = (place.rpartition("/") for place in slot.health().get("partitions", ()))
    return frozenset((context, int(number)) for context, _, number in found)
