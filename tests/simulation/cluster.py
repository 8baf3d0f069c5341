"""Broker, workers, commands and witness of one run, and a clock that moves when told to.

clients ──► broker ◄──► workers        everything that becomes visible ──► witness
"""

from random import Random
from typing import Any

from domain.contexts import CONTEXTS
from streams.judging import Judge
from streams.states import folded, restored
from streams.stream_index import StreamIndex
from streams.turn import Place
from tests.simulation.broker import Broker, LogName
from tests.simulation.chaos import Chaos
from tests.simulation.clients import Command, first_commands, sent_in
from tests.simulation.log import Record
from tests.simulation.places import CODEC, PARTITIONS, PLACES, commands
from tests.simulation.witness import Violation, Witness, place_text
from tests.simulation.worker import Parts, Worker
from tests.simulation.writer import Network


class Cluster:
    """`trace` tells what happened, with the time in ms before each entry."""

    def __init__(self, random: Random, chaos: Chaos, parts: Parts) -> None:
        self.random = random
        self.chaos = chaos
        self.trace: list[tuple[Any, ...]] = []
        self.witness = Witness()
        self.broker = Broker(self._visible, self._offset_moves)
        self.broker.now_ms = 60_000 - chaos.until_minute_ms
        self.network = Network(self.broker, chaos, random, self.note)
        self._judge = Judge(CODEC, PARTITIONS, random.random)
        self._parts = parts
        self._repaired = 0
        self.restored = 0
        self.workers = [self._worker(slot) for slot in range(chaos.workers)]
        for command in first_commands():
            self.send(command)

    def _worker(self, slot: int, index: StreamIndex | None = None) -> Worker:
        return Worker(self.network, slot, self._judge, self._parts, index)

    @property
    def members(self) -> dict[str, str]:
        return self.broker.group.members

    @property
    def repaired(self) -> int:
        return self._repaired + sum(worker.lane.repaired for worker in self.workers)

    # ── what is seen ─────────────────────────────────────────────────────────────────────

    def note(self, *what: Any) -> None:
        self.trace.append((self.broker.now_ms, *what))

    def _visible(self, name: LogName, record: Record) -> None:
        self.note("visible", *name, record.offset, record.key)
        self.witness.sees(name, record)

    def _offset_moves(self, place: Place, before: int, after: int) -> None:
        """A committed offset never passes a command that is not decided."""
        if self.broker.tears:
            return
        records, _ = self.broker.log(commands(place)).read(before, after - before)
        for record in records:
            if not self.witness.decided(sent_in(place, record)):
                raise Violation(f"offset of {place_text(place)} passes undecided {record.offset}")

    def snapshots_change_nothing(self, worker: Worker) -> None:
        """A state that a snapshot was believed for is that of all events. Raises Violation."""
        for context, aggregate_id in self.witness.events:
            index, decider = worker.index, CONTEXTS[context].decider
            known = restored(index, CODEC, CONTEXTS[context], aggregate_id)
            if known is None:
                continue
            self.restored += 1
            events = [CODEC.decode(e.value or b"") for e in index.events(context, aggregate_id)]
            folds = decider.fold(events[: known[0]]), decider.fold(events)
            _, state = folded(index, CODEC, CONTEXTS[context], aggregate_id)
            if (known[1], state) != folds:
                raise Violation(
                    f"{worker.id} has a snapshot of {aggregate_id}: {known}, not {folds}"
                )

    # ── what is done ─────────────────────────────────────────────────────────────────────

    def send(self, command: Command) -> None:
        self.witness.sends(command)
        record = self.broker.append(commands(command.place), command.content)
        self.note("sent", place_text(command.place), record.offset, *command.sent[0])

    def step(self, worker: Worker, task: str) -> bool:
        """One step of one thread; whether it has more to do."""
        moved = worker.tasks[task]()
        self._complete()
        if task == "tail":
            self.snapshots_change_nothing(worker)
        if worker.broken and not self.broker.tears:
            raise Violation(f"{worker.id} alarms for nothing: {worker.broken}")
        return moved

    def round(self, worker: Worker) -> bool:
        """Each thread of a worker goes on; whether any of them moved."""
        moved = worker.read_back.read_all()
        for task in ("group", "fence", "fence", "fetch", "fetch", "engine", "commit_answered"):
            moved |= self.step(worker, task)
        while self.step(worker, "answer"):
            moved = True
        for _ in range(40):
            if not self.step(worker, "lane"):
                break
        if worker.ended:
            self.restart(worker)
            moved = True
        return moved

    def restart(self, worker: Worker) -> None:
        """The process is gone, its member is not; the supervisor starts it anew."""
        self._repaired += worker.lane.repaired
        self.snapshots_change_nothing(worker)
        index = worker.index if self.chaos.keep_index and self.random.random() < 0.5 else None
        self.note("restart", worker.id, worker.ended, index is not None)
        self.workers[worker.slot] = self._worker(worker.slot, index)

    def end_session(self, member: str) -> None:
        self.note("expired", member)
        self.broker.group.expire(member)
        self._complete()

    def bury(self) -> None:
        """Members whose process is gone or asleep lose their session."""
        group = self.broker.group
        living = {worker.member for worker in self.workers if not worker.paused}
        for member in sorted(group.members.keys() - living):
            self.end_session(member)
        for member in sorted(group.joined.keys() - living):
            del group.joined[member]
        self._complete()

    def _complete(self) -> None:
        if self.broker.group.complete(PLACES, self.random.shuffle):
            self.note("generation", self.broker.group.generation)

    @property
    def settled(self) -> bool:
        """Whether everything is owned by somebody who has nothing left to do."""
        group = self.broker.group
        owned = {place for w in self.workers for place in (*w.lane.owned, *w.broken)}
        return (
            owned == set(PLACES)
            and not group.rebalancing
            and all(worker.idle and worker.fetched_all for worker in self.workers)
            and all(worker.member in group.members for worker in self.workers)
            and all(worker.generation == group.generation for worker in self.workers)
        )
