"""Faults of disks below a worker and a broker.

F11 the disk of a worker's index, or of the broker's log, is full
F12 pages of the index are torn or flipped while nobody runs
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.harm import Field, Trial, rest
from tests.faults.history import Fault
from tests.faults.mounted import fill, mounted
from tests.faults.workers import Slot, until

INDEX_MB = 400
SEEN_WITHIN_S = 60.0
PAGE = 4_096
INDEX_SAID = ("index_full", "index_has_room_again", "index_partition_dropped", "index_closed_early")


def index_full(on: Field, kind: str) -> Fault:
    """The index of a worker has no room: nothing is lost, and it heals once there is room again."""
    slot = on.victim()
    trial = Trial(on, "F11", kind, slot)
    folder = _index(on, slot)
    with _stopped(on, slot):
        pass_on = mounted(folder, INDEX_MB)
        place = pass_on.__enter__()
    trial.recovered()
    full = False
    if place:
        with fill(folder):
            until(lambda: slot.said("index_full", trial.log_at) > 0, SEEN_WITHIN_S, "a full disk")
            full = slot.health().get("index") == "full"
            rest(on.chance.uniform(1.0, 4.0))
        until(lambda: slot.health().get("index") != "full", SEEN_WITHIN_S, "room again")
        trial.recovered()
    trial.hit(mounted=place, health_said_full=full, **trial.said(*INDEX_SAID))
    with _stopped(on, slot):
        pass_on.__exit__(None, None, None)
    trial.recovered()
    return trial.done(sound=place and full)


@contextmanager
def _stopped(on: Field, slot: Slot, sign: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    """While this lasts, the slot has no process."""
    slot.kept = False
    pid = slot.pid
    os.kill(pid, sign)
    on.gone(slot, pid)
    until(lambda: slot.pid == 0, SEEN_WITHIN_S, f"slot {slot.number} without a process")
    try:
        yield
    finally:
        slot.kept = True
    on.successor(slot, pid)


def _index(on: Field, slot: Slot) -> Path:
    return on.served.folder / "index" / str(slot.number)


def broker_full(on: Field, kind: str) -> Fault:
    """The broker's log has no room: the broker ends; with room again it comes back and all goes on."""
    trial = Trial(on, "F11", kind)
    broker = on.cluster.brokers[0]
    outstanding = on.busy()
    if not on.cluster.on_tmpfs:
        trial.hit(mounted=False)
        return trial.done(sound=False)
    with fill(broker.folder / "data"):
        until(lambda: not broker.alive, SEEN_WITHIN_S, "the broker's end")
    trial.hit(outstanding=outstanding, broker_ended=not broker.alive)
    on.cluster.restart(broker)
    trial.recovered(*on.served.workers.slots)
    return trial.done(sound=outstanding > 0)


def torn(on: Field, kind: str) -> Fault:
    """The index's file is damaged while its worker is away: it is noticed and read from the log again."""
    slot = on.victim()
    trial = Trial(on, "F12", kind, slot)
    files = sorted(_index(on, slot).glob("*/data.mdb"))
    damaged: list[str] = []
    with _stopped(on, slot, signal.SIGKILL):
        for file in on.chance.sample(files, min(2, len(files))):
            _damage(on, file, kind)
            damaged.append(file.parent.name)
    trial.recovered()
    trial.hit(damaged=damaged, **trial.said("Damaged", *INDEX_SAID))
    return trial.done(sound=bool(damaged))


def _damage(on: Field, file: Path, kind: str) -> None:
    size = file.stat().st_size
    with file.open("r+b") as pages:
        if kind == "cut short":
            pages.truncate(max(PAGE, on.chance.randrange(size) // PAGE * PAGE))
        elif kind == "torn pages":
            for _ in range(8):
                pages.seek(on.chance.randrange(size // PAGE) * PAGE + PAGE // 2)
                pages.write(bytes(PAGE // 2))
        else:
            for _ in range(200):
                pages.seek(on.chance.randrange(size))
                pages.write(on.chance.randbytes(1))
