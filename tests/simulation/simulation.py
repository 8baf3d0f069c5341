"""One seed, one run: a scheduler that picks what happens next, a virtual clock, and its faults.

seed ──► chaos ──► (clients │ worker tasks │ faults) ⟲ ──► healing ──► what must hold
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from streams.judging import Judge
from streams.turn import Place
from tests.simulation import chaos as chaotic
from tests.simulation.broker import Broker, LogName
from tests.simulation.clients import first_commands, sent_in, some_command
from tests.simulation.log import Content, Record
from tests.simulation.places import CODEC, CONTEXTS, PARTITIONS, PLACES, TOPICS, commands, log_of
from tests.simulation.witness import Violation, Witness, place_text
from tests.simulation.worker import Parts, Worker
from tests.simulation.writer import Network

CALM_WEIGHT = 20.0
"""Of steps of workers, beside faults of at most 1 each."""
MAX_ROUNDS = 600


@dataclass(slots=True)
class Run:
    """What became of a seed."""

    seed: int
    violation: str = ""
    beats: int = 0
    events: int = 0
    answers: int = 0
    tears: int = 0
    repaired: int = 0
    loud: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    digest: str = ""
    trace: list[tuple[Any, ...]] = field(default_factory=list)


class Simulation:
    """`parts` are the shipped classes unless a bug is planted."""

    def __init__(self, seed: int, parts: Parts) -> None:
        self.random = Random(seed)
        self.chaos = chaotic.drawn(self.random)
        self.witness = Witness()
        self.broker = Broker(self._visible, self._offset_moves)
        self.network = Network(self.broker, self.chaos, self.random, self._note)
        self.judge = Judge(CODEC, PARTITIONS, self.random.random)
        self.parts = parts
        self.run = Run(seed)
        self.repaired = 0
        self.workers = [self._worker(slot) for slot in range(self.chaos.workers)]
        self.faults: dict[str, Callable[[], object]] = {
            "crash": self._crash,
            "pause": self._pause,
            "deafen": self._deafen,
            "zombie": self._zombie,
            "expire": self._expire,
            "stray": self.network.stray_arrives,
            "outage": self._outage,
            "republish": self._republish,
            "compact": self._compact,
            "time_out": self._time_out,
        }
        for command in first_commands():
            self._send(command)

    def _worker(self, slot: int, index: Any = None) -> Worker:
        return Worker(self.network, slot, self.judge, self.parts, index)

    def _visible(self, name: LogName, record: Record) -> None:
        self._note("visible", *name, record.offset, record.key)
        self.witness.sees(name, record)

    def _offset_moves(self, place: Place, before: int, after: int) -> None:
        """A committed offset never passes a command that is not decided."""
        if self.broker.tears:
            return
        records, _ = self.broker.log(commands(place)).read(before, after - before)
        for record in records:
            if not self.witness.decided(sent_in(place, record)):
                raise Violation(f"offset of {place_text(place)} passes undecided {record.offset}")

    def _note(self, *what: Any) -> None:
        self.run.trace.append((self.broker.now_ms, *what))

    # ── the scheduler ────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Most runs begin with workers that have their places; the others with the first rebalance."""
        if self.random.random() < 0.8:
            for _ in range(MAX_ROUNDS):
                for worker in self.workers:
                    self._round(worker)
                if self._settled():
                    return

    def live(self) -> None:
        """Everything may happen."""
        self.network.calm = False
        names = list(self.faults)
        weights = [self.chaos.weights[name] * (4.0 if name == "zombie" else 1.0) for name in names]
        for _ in range(self.chaos.beats):
            self.run.beats += 1
            self.broker.now_ms += self.random.randint(0, 60)
            kind = self.random.choices(("work", "send", *names), (CALM_WEIGHT, 3.0, *weights))[0]
            if kind == "work":
                self._work()
            elif kind == "send":
                for _ in range(self.random.randint(1, 4)):
                    self._send(some_command(self.random))
            elif self.faults[kind]():
                self.run.faults[kind] = self.run.faults.get(kind, 0) + 1
                self._note(kind)

    def _work(self) -> None:
        """A worker goes on: a few steps of whatever threads have something to do."""
        worker = self.random.choice(self.workers)
        if worker.paused:
            return
        for _ in range(self.random.randint(1, 30)):
            ready = worker.ready()
            if not ready:
                return
            speeds = [self.chaos.speeds[task] for task in ready]
            self._step(worker, self.random.choices(ready, speeds)[0])
            if worker.ended:
                self._restart(worker)
                return

    def _step(self, worker: Worker, task: str) -> bool:
        moved = worker.tasks[task]()
        if self.broker.group.complete(PLACES, self.random.shuffle):
            self._note("generation", self.broker.group.generation)
        return moved

    def _send(self, command: Any) -> None:
        self.witness.sends(command)
        record = self.broker.append(commands(command.place), command.content)
        self._note("sent", place_text(command.place), record.offset, *command.sent[0])

    # ── faults; each says whether it hit anything ────────────────────────────────────────

    def _crash(self) -> bool:
        self._restart(self.random.choice(self.workers))
        return True

    def _restart(self, worker: Worker) -> None:
        """The process is gone, its member is not; the supervisor starts it anew."""
        self.repaired += worker.lane.repaired
        index = worker.index if self.chaos.keep_index and self.random.random() < 0.5 else None
        self._note("restart", worker.id, worker.ended, index is not None)
        self.workers[worker.slot] = self._worker(worker.slot, index)

    def _pause(self) -> bool:
        worker = self.random.choice(self.workers)
        worker.paused = not worker.paused
        return True

    def _deafen(self) -> bool:
        """A worker does not hear from the group, yet goes on."""
        worker = self.random.choice(self.workers)
        worker.deaf = not worker.deaf
        return True

    def _zombie(self) -> bool:
        """A worker stops in mid-transaction for longer than its session lasts."""
        found = [w for w in self.workers if w.in_transaction and w.member in self._members]
        if not found:
            return False
        worker = self.random.choice(found)
        worker.paused = True
        self._end_session(worker.member)
        return True

    @property
    def _members(self) -> dict[str, str]:
        return self.broker.group.members

    def _expire(self) -> bool:
        if not self._members:
            return False
        self._end_session(self.random.choice(sorted(self._members)))
        return True

    def _end_session(self, member: str) -> None:
        self._note("expired", member)
        self.broker.group.expire(member)
        self.broker.group.complete(PLACES, self.random.shuffle)

    def _outage(self) -> bool:
        self.broker.down = not self.broker.down
        return True

    def _republish(self) -> bool:
        """An administrator writes an event again, as redaction does."""
        name = TOPICS.events(self.random.choice(CONTEXTS)), self.random.randrange(PARTITIONS)
        records, _ = self.broker.log(name).read(0)
        if not records:
            return False
        record = self.random.choice(records)
        self.witness.republished = True
        self.broker.append(name, Content(record.key, record.value, record.headers))
        return True

    def _compact(self) -> bool:
        """The topics' compaction lag of 7 days lets nothing go that is not answered yet."""
        answered = self.broker.answered
        gone = [self.broker.log(log_of(p)).compact(answered.get(p, 0)) for p in PLACES]
        return any(gone)

    def _time_out(self) -> bool:
        self.broker.now_ms += 10_000
        return self.broker.expire_transactions() > 0

    # ── healing ──────────────────────────────────────────────────────────────────────────

    def heal(self) -> None:
        """No more faults; everybody works until nothing is left to do."""
        while self.network.strays and self.random.random() < 0.5:
            self.network.stray_arrives()
        self.network.strays.clear()
        self.network.calm = True
        self.broker.down = False
        for worker in self.workers:
            worker.paused = worker.deaf = False
        quiet = 0
        for _ in range(MAX_ROUNDS):
            self._bury()
            moved = [self._round(worker) for worker in list(self.workers)]
            quiet = 0 if any(moved) or not self._settled() else quiet + 1
            if quiet == 2:
                return
            self.broker.now_ms += 250
            self.broker.expire_transactions()
        raise Violation(f"never quiet: {[worker.state() for worker in self.workers]}")

    def _bury(self) -> None:
        """Members whose process is gone lose their session."""
        group, living = self.broker.group, {worker.member for worker in self.workers}
        for member in sorted(group.members.keys() - living):
            group.expire(member)
        for member in sorted(group.joined.keys() - living):
            del group.joined[member]
        group.complete(PLACES, self.random.shuffle)

    def _round(self, worker: Worker) -> bool:
        moved = worker.read_back.read_all()
        for task in ("group", "fence", "fence", "fetch", "fetch", "engine", "commit_answered"):
            moved |= self._step(worker, task)
        while self._step(worker, "answer"):
            moved = True
        for _ in range(40):
            if not self._step(worker, "lane"):
                break
        if worker.ended:
            self._restart(worker)
            moved = True
        return moved

    def _settled(self) -> bool:
        group = self.broker.group
        owned = {place for w in self.workers for place in (*w.lane.owned, *w.broken)}
        return (
            owned == set(PLACES)
            and not group.rebalancing
            and all(worker.idle and worker.fetched_all for worker in self.workers)
            and all(worker.member in group.members for worker in self.workers)
            and all(worker.generation == group.generation for worker in self.workers)
        )


def simulate(seed: int, parts: Parts | None = None) -> Run:
    """Run a seed to its end; what was broken stands in the result."""
    from tests.simulation.promises import hold

    simulation = Simulation(seed, parts or Parts())
    run = simulation.run
    try:
        simulation.start()
        simulation.live()
        simulation.heal()
        hold(simulation)
    except Violation as violation:
        run.violation = str(violation)
    except AssertionError as error:
        run.violation = f"assertion: {error!r}"
    run.tears = simulation.broker.tears
    run.events = sum(map(len, simulation.witness.events.values()))
    run.answers = len(simulation.witness.said)
    run.repaired = simulation.repaired + sum(w.lane.repaired for w in simulation.workers)
    run.digest = hashlib.sha256(repr(run.trace).encode()).hexdigest()[:16]
    return run
