"""A worker process on the model: the shipped lane, fence, tailer, index and engine, a step at a time.

group ──► lane thread: close │ fence, open        read back ──► index ──► answers
fetch ──► lane thread ──► writer ──► engine ──► runner ──► lane thread

Stands for services/worker.py and agents/commands.py; it may die between any two steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from agents.engine import Engine
from streams.due_snapshots import Rhythm
from streams.judging import Judge
from streams.lane import Lane
from streams.memory_stream_index import MemoryStreamIndex
from streams.stream_index import StreamIndex
from streams.tailer import Tailer
from streams.turn import Place
from tests.simulation.asking import Asking
from tests.simulation.lane_thread import LaneThread, Opened, Superseded
from tests.simulation.places import CODEC, PARTITIONS, TOPICS, commands
from tests.simulation.read_back import ReadBack
from tests.simulation.reading import command_records
from tests.simulation.runner import ScriptedRunner
from tests.simulation.writer import Network, Steps, Writer, group_bytes

IN_FLIGHT = 3
FAR = timedelta(seconds=30)
"""Only the next time of a schedule is so far ahead."""
RHYTHM = Rhythm(3, timedelta(milliseconds=100))
"""Histories are short here."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes a worker is made of; a planted bug is another class."""

    lane: type[Lane] = Lane
    lane_thread: type[LaneThread] = LaneThread
    read_back: type[ReadBack] = ReadBack
    asking: type[Asking] = Asking
    writer: type[Writer] = Writer


class Worker:
    """`paused` = no thread goes on; `deaf` = it hears nothing from the group."""

    def __init__(
        self,
        network: Network,
        slot: int,
        judge: Judge,
        parts: Parts,
        index: StreamIndex | None = None,
    ) -> None:
        self.id = f"w-{slot}"
        self.slot = slot
        self.paused = self.deaf = False
        self.member = ""
        self.generation = -1
        self.fetched: dict[Place, int] = {}
        self.index: StreamIndex = MemoryStreamIndex() if index is None else index
        self.tailer = Tailer(self.index)
        url = f"http://127.0.0.1:{8000 + slot}"
        self.lane = parts.lane(
            judge,
            self.index,
            TOPICS,
            transactional_id=self.id,
            url=url,
            rhythm=RHYTHM,
        )
        self.runner = ScriptedRunner()
        self._broker = network.broker
        self._random = network.random
        self._at_once = network.chaos.reads_at_once
        self._slow_start = network.chaos.slow_start
        self._fences: list[Steps] = []
        self._fetching = -1
        self.read_back = parts.read_back(network, self.index, self.tailer, slot)
        self._thread = self._lane_thread(network, parts)
        self.engine = self._thread.engine
        self._lane_steps, self._group_steps = self._thread.run(), self._group()
        self.tasks: dict[str, Callable[[], bool]] = {
            "lane": self._lane_step,
            "group": self._group_step,
            "fence": self._fence_step,
            "tail": self.read_back.read_some,
            "answer": self.read_back.answer_one,
            "fetch": self._fetch,
            "engine": self._engine_step,
            "commit_answered": self.read_back.commit_answered,
        }

    def _lane_thread(self, network: Network, parts: Parts) -> LaneThread:
        writer = parts.writer(network, self.id)
        asking = parts.asking(network.broker, writer)
        thread = parts.lane_thread(
            network, self.id, self.lane, self.index, writer, asking, self.read_back
        )
        thread.engine = Engine(
            self.runner,
            self.index,
            CODEC,
            lambda found: thread.inbox.append(lambda: self.lane.take_internal(found)),
            PARTITIONS,
            in_flight=IN_FLIGHT,
        )
        return thread

    # ── as the simulation sees it ────────────────────────────────────────────────────────

    @property
    def in_transaction(self) -> bool:
        return self._thread.busy

    @property
    def is_new(self) -> bool:
        """Whether it has committed nothing with its places yet."""
        return not self._thread.committed

    @property
    def is_internal(self) -> bool:
        """Whether the last transaction was the engine's alone."""
        return self._thread.internal

    @property
    def ended(self) -> str:
        """Why the process has left by itself."""
        return self._thread.ended

    @property
    def broken(self) -> Mapping[Place, str]:
        return self._thread.broken

    def ready(self) -> list[str]:
        """The tasks that may have something to do."""
        up, group = not self._broker.down, self._broker.group
        settled = self.member in group.members and self.generation == group.generation
        found = {
            "lane": self._lane_has_work or (self.lane.waiting and not self._starts_slowly()),
            "group": not self.deaf and (not settled or group.rebalancing),
            "fence": bool(self._fences),
            "tail": up and self.read_back.behind,
            "answer": up and bool(self.read_back.queue),
            "fetch": up and not self.fetched_all,
            "engine": bool(len(self.runner)) or not self.engine._inbox.empty() or self._is_due(),
            "commit_answered": up and self._random.random() < 0.2,
        }
        return [task for task, is_ready in found.items() if is_ready]

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do or to wait for."""
        waits = self.read_back.queue or self.lane.waiting or len(self.runner)
        due = self.engine.next_due()
        soon = due is not None and due < self._broker.now + FAR
        return not (waits or self.engine.running or soon)

    def state(self) -> dict[str, Any]:
        """For whoever wants to know why it is not idle."""
        return {
            "id": self.id,
            "owned": sorted(self.lane.owned),
            "broken": self.broken,
            "gaps": self.tailer.gaps(),
            "waiting": self.lane.waiting,
            "answers": len(self.read_back.queue),
            "running": self.engine.running,
            "due": self.engine.next_due(),
            "generation": self.generation,
        }

    @property
    def fetched_all(self) -> bool:
        log = self._broker.log
        return all(log(commands(place)).end == at for place, at in self.fetched.items())

    @property
    def _lane_has_work(self) -> bool:
        return self._thread.busy or self._thread.acting or bool(self._thread.inbox)

    def _starts_slowly(self) -> bool:
        return self._slow_start and self._random.random() < 0.9

    def _is_due(self) -> bool:
        due = self.engine.next_due()
        return due is not None and due <= self._broker.now

    # ── threads, a step each ─────────────────────────────────────────────────────────────

    def _lane_step(self) -> bool:
        next(self._lane_steps)
        return self._lane_has_work

    def _group_step(self) -> bool:
        next(self._group_steps)
        return False

    def _fence_step(self) -> bool:
        for one in list(self._fences):
            if next(one, self) is self:
                self._fences.remove(one)
        return bool(self._fences)

    def _engine_step(self) -> bool:
        self.engine.step(self._broker.now)
        if len(self.runner) and self._random.random() < 0.5:
            self.runner.end_one(self._random)
            return True
        return False

    def _fetch(self) -> bool:
        if not self.fetched or self._broker.down:
            return False
        place = self._random.choice(list(self.fetched))
        log = self._broker.log(commands(place))
        records, position = log.read(self.fetched[place], self._at_once)
        if position == self.fetched[place]:
            return False
        self.fetched[place] = position
        generation, found = self._fetching, command_records(place, records)
        self._thread.inbox.append(lambda: self.lane.take(generation, found))
        return True

    # ── the group ────────────────────────────────────────────────────────────────────────

    def _group(self) -> Steps:
        group = self._broker.group
        while True:
            yield
            if self._broker.down or self.member in group.joined:
                continue
            if self.member not in group.members or group.rebalancing:
                # Revoked; the others wait for this member, and it for its transaction in flight.
                yield from self._thread.close()
                self.fetched = {}
                yield
                if not self._broker.down:
                    self.member = group.join(self.id, self.member)
            elif self.generation != group.generation:
                self.generation = group.generation
                metadata = group_bytes(self.generation, self.member)
                places = group.assigned[self.member]
                opened = Opened(self.generation, metadata, places)
                self._fences.append(self._open(opened, self._thread.closings))

    def _open(self, opened: Opened, closings: int) -> Steps:
        try:
            yield from self._thread.open_places(opened, closings)
        except Superseded:
            return
        yield
        # Faust seeks to the committed offsets, however often the lane has opened anew meanwhile.
        if self._thread.generation == opened.generation:
            offsets = self._broker.group.offsets
            self.fetched = {place: offsets.get(place, (0, ""))[0] for place in opened.places}
            self._fetching = opened.generation
