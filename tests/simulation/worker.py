"""A worker on the model: the shipped lane, fence, tailer, index and engine, a step at a time.

group ──► close │ fence ──► open       tail ──► index ──► answers ──► outcomes
fetch ──► inbox ──► lane ──► writer ──► committed | failed ──► engine ──► inbox

Stands for KafkaLane, KafkaTailer, KafkaGroup and agents/commands.py; each `yield` is a place where
another thread goes on, or the process dies.
"""

from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from agents.engine import Engine
from streams import commit_metadata
from streams.answers import Answer
from streams.error_table import Action, TransactionError
from streams.fence import (
    AwaitRead,
    FenceSlots,
    GroupSeen,
    Opening,
    ReadEnds,
    ReadGroup,
    ReadStable,
    fence,
)
from streams.judging import Judge
from streams.kafka_writer import transactional_ids
from streams.lane import Lane
from streams.memory_stream_index import MemoryStreamIndex
from streams.stream_index import StreamIndex
from streams.tailer import Tailer
from streams.turn import Place, Settled
from tests.simulation.broker import Broker
from tests.simulation.places import (
    CODEC,
    OUTCOMES,
    PARTITIONS,
    READ,
    TOPICS,
    commands,
    log_of,
)
from tests.simulation.reading import (
    answers_of,
    answers_read,
    command_records,
    event_records,
    outcome,
)
from tests.simulation.runner import ScriptedRunner
from tests.simulation.writer import Network, Steps, Writer, group_bytes

MAX_REOPENS = 5
LOOK_MS = 1_000
IN_FLIGHT = 3


@dataclass(frozen=True, eq=False, slots=True)
class _Opened:
    generation: int
    group: bytes
    places: Collection[Place]


class _Superseded(Exception):
    """Another rebalance came while the fence was at work."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes a worker is made of; a planted bug is another class."""

    lane: type[Lane] = Lane
    tailer: type[Tailer] = Tailer
    writer: type[Writer] = Writer
    worker: "type[Worker] | None" = None


class Worker:
    """One process. `ended` = it has left by itself; the simulation starts it again."""

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
        self.paused = False
        self.deaf = False
        self.ended = ""
        self.index: StreamIndex = MemoryStreamIndex() if index is None else index
        self.tailer = parts.tailer(self.index)
        url = f"http://127.0.0.1:{8000 + slot}"
        self.lane = parts.lane(judge, self.index, TOPICS, transactional_id=self.id, url=url)
        self.runner = ScriptedRunner()
        self.engine = Engine(
            self.runner,
            self.index,
            CODEC,
            lambda found: self._inbox.append(lambda: self.lane.take_internal(found)),
            PARTITIONS,
            in_flight=IN_FLIGHT,
        )
        self.broken: Mapping[Place, str] = {}
        self.queue: list[Answer] = []
        self.fetched: dict[Place, int] = {}
        self.read = {place: self.tailer.resume(place) for place in READ}
        self.member = ""
        self.generation = -1
        self._broker: Broker = network.broker
        self._random = network.random
        self._at_once = network.chaos.reads_at_once
        self._writer = parts.writer(network, self.id)
        self._inbox: list[Callable[[], None]] = []
        self._busy = False
        self._acting = False
        self._fencing = False
        self._note = partial(network.note, self.id)
        self._reopens = 0
        self._looked_ms = 0
        self._opened: _Opened | None = None
        self._answered: dict[Place, int] = {}
        self._again: set[Place] = set()
        self._fences: list[Steps] = []
        self._threads: dict[str, Steps] = {
            "lane": self._lane_thread(),
            "group": self._group_thread(),
        }
        self._fetching = -1
        self.tasks: dict[str, Callable[[], bool]] = {
            "lane": lambda: self._advance("lane"),
            "group": lambda: self._advance("group"),
            "fence": self._fence_step,
            "tail": self.tail,
            "answer": self._answer,
            "fetch": self._fetch,
            "engine": self._engine_step,
            "commit_answered": self._commit_answered,
        }

    @property
    def in_transaction(self) -> bool:
        return self._busy

    def ready(self) -> list[str]:
        """The tasks that may have something to do."""
        up, group = not self._broker.down, self._broker.group
        settled = self.member in group.members and self.generation == group.generation
        found = {
            "lane": self._busy or self._acting or bool(self._inbox) or self.lane.waiting,
            "group": not self.deaf and (not settled or group.rebalancing),
            "fence": bool(self._fences),
            "tail": up and any(self._behind(place) for place in READ),
            "answer": up and bool(self.queue),
            "fetch": up
            and any(
                at < self._broker.log(commands(place)).end for place, at in self.fetched.items()
            ),
            "engine": bool(len(self.runner)) or not self.engine._inbox.empty() or self._is_due(),
            "commit_answered": up and self._random.random() < 0.2,
        }
        return [task for task, is_ready in found.items() if is_ready]

    def _is_due(self) -> bool:
        due = self.engine.next_due()
        return due is not None and due <= self._broker.now

    def _behind(self, place: Place) -> bool:
        return self.read[place] < self._broker.log(log_of(place)).stable_end

    # ── threads ──────────────────────────────────────────────────────────────────────────

    def _advance(self, name: str) -> bool:
        next(self._threads[name])
        return self._busy or self._acting or bool(self._inbox)

    def _fence_step(self) -> bool:
        if not self._fences:
            return False
        for one in list(self._fences):
            try:
                next(one)
            except StopIteration:
                self._fences.remove(one)
        return True

    def _lane_thread(self) -> Steps:
        while True:
            yield
            news, self._inbox = self._inbox, []
            self._look()
            self._busy = True
            for tell in news:
                tell()
            wanted = self.lane.wanted_ends()
            if wanted and not self._broker.down:
                yield
                for place in sorted(wanted):
                    self.lane.on_end(place, self._broker.log(log_of(place)).end)
            transaction = self.lane.step(self._broker.now)
            if transaction is None:
                self._busy = False
                continue
            self._note("judged", len(transaction.writes), dict(transaction.offsets))
            result = yield from self._writer.run(transaction)
            if isinstance(result, TransactionError):
                action = self.lane.failed(result)
                self._note("failed", result.name, action.value)
                self._busy, self._acting = False, True
                yield
                yield from self._act(action)
                self._acting = False
            else:
                settled = self.lane.committed(result)
                self._note("committed", result)
                self.on_settled(settled)
                self._busy, self._reopens = False, 0
                yield

    def on_settled(self, settled: Settled) -> None:
        self.engine.on_events(settled.events)

    def _look(self) -> None:
        """Stop places whose log lacks an event that nobody can write."""
        if self._broker.now_ms - self._looked_ms < LOOK_MS:
            return
        self._looked_ms = self._broker.now_ms
        self._writer.idle()
        opened = self._opened
        if opened is None:
            return
        held = self.lane.unseen(opened.generation)
        for place, key in self.tailer.gaps().items():
            if place in self.lane.owned and key not in held:
                self.lane.stop_place(place)
                self.broken = {**self.broken, place: key}
                self._note("partition_stopped", place, key)

    def _act(self, action: Action) -> Steps:
        self._writer.discard()
        if action is Action.REJOIN:
            self._disown()
            yield from self._writer.connect()
        else:
            yield from self._reopen()

    def _reopen(self) -> Steps:
        self._reopens += 1
        opened = self._opened
        if opened is None:
            return
        if self._reopens > MAX_REOPENS:
            self.ended = "cannot reopen"
            yield
            return
        try:
            again = _Opened(opened.generation, opened.group, opened.places)
            yield from self._open(opened, again)
        except _Superseded:
            return

    # ── the group ────────────────────────────────────────────────────────────────────────

    def _group_thread(self) -> Steps:
        yield from self._writer.connect()
        group = self._broker.group
        while True:
            yield
            if self._broker.down or self.member in group.joined:
                continue
            if self.member in group.members and not group.rebalancing:
                if self.generation != group.generation:
                    self.generation = group.generation
                    opened = _Opened(
                        self.generation,
                        group_bytes(self.generation, self.member),
                        group.assigned[self.member],
                    )
                    self._fences.append(self._open_thread(opened))
                continue
            # Revoked: the transaction in flight ends first, as the others wait for this member.
            while self._busy:
                yield
            self._note("closed")
            self._opened = None
            self.lane.close()
            self._disown()
            self.fetched = {}
            yield
            if not self._broker.down:
                self.member = group.join(self.id, self.member)

    def _disown(self) -> None:
        self.tailer.disown()
        self._answered, self._again = {}, set()

    def _open_thread(self, opened: _Opened) -> Steps:
        try:
            yield from self._open(self._opened, opened)
        except _Superseded:
            return
        yield
        # Faust seeks to the committed offsets, however often the lane has opened anew meanwhile.
        if self._opened is not None and self._opened.generation == opened.generation:
            offsets = self._broker.group.offsets
            self.fetched = {place: offsets.get(place, (0, ""))[0] for place in opened.places}
            self._fetching = opened.generation

    def _open(self, before: _Opened | None, opened: _Opened) -> Steps:
        while self._busy:
            yield
        if self._opened is not before:
            raise _Superseded
        self._opened = opened
        while self._fencing:
            yield
        self._fencing = True
        try:
            opening = yield from self._fence(opened)
            self.engine._own(frozenset(opening.offsets))
            yield from self.own(opening.offsets)
            while self._busy:
                yield
            self._check(opened)
            self.lane.open(opened.generation, opened.group, opening.offsets, opening.last_keys)
        finally:
            self._fencing = False
        self.broken = opening.broken

    def _check(self, opened: _Opened) -> None:
        if self._opened is not opened:
            raise _Superseded

    def _fence(self, opened: _Opened) -> Generator[None, None, Opening]:
        yield from self._writer.connect()
        held = self.lane.unseen(opened.generation)
        steps = fence(opened.places, self.id, self.index, held, self.tailer.lacking)
        result: Any = None
        while True:
            self._check(opened)
            try:
                action = steps.send(result)
            except StopIteration as done:
                opening: Opening = done.value
                self._note("fence", opened.generation, opening.offsets, opening.broken)
                return opening
            yield
            while self._broker.down:
                self._check(opened)
                yield
            match action:
                case ReadGroup():
                    result = self._group_seen(action.places)
                case FenceSlots():
                    yield from self.fence_slots(action)
                case ReadStable():
                    result = self.stable(action.places)
                case ReadEnds():
                    wanted = {*action.places, *((OUTCOMES, p) for _, p in action.places)}
                    result = {place: self.true_end(place) for place in wanted}
                case AwaitRead():
                    while any(self.index.position(*p) < end for p, end in action.ends.items()):
                        self._check(opened)
                        yield

    def _group_seen(self, places: Collection[Place]) -> GroupSeen:
        group = self._broker.group
        metadata = {
            place: commit_metadata.parse(group.offsets.get(place, (0, ""))[1]) for place in places
        }
        return GroupSeen(metadata, set(group.members.values()))

    def fence_slots(self, action: FenceSlots) -> Steps:
        for writer in sorted(action.writers):
            for transactional_id in transactional_ids(writer):
                yield from self._writer.initialize(transactional_id)

    def stable(self, places: Collection[Place]) -> Any:
        if any(self._broker.pending(place) for place in places):
            return None
        metadata = self._group_seen(places).metadata
        offsets = self._broker.group.offsets
        return {place: (offsets.get(place, (0, ""))[0], metadata[place]) for place in places}

    def true_end(self, place: Place) -> int:
        return self._broker.log(log_of(place)).end

    def own(self, places: Collection[Place]) -> Steps:
        """Answer what these places hold since the last answered offset, then go on live."""
        yield
        starts = {place: self.answered_before(place) for place in places}
        reached = {place: max(self.index.position(*place), at) for place, at in starts.items()}
        self.tailer.own(reached)
        self._answered = dict(reached)
        self._again = {place for place in places if starts[place] < reached[place]}
        for place in sorted(self._again):
            at = starts[place]
            while at < reached[place]:
                yield
                records, position = self._broker.log(log_of(place)).read(at, self._at_once)
                events = [e for e in event_records(place, records) if e.offset < reached[place]]
                self.queue.extend(answers_of(events))
                at = position
            self._again.discard(place)

    def answered_before(self, place: Place) -> int:
        return self._broker.answered.get(place, 0)

    # ── tailer, answers, commands, steps ─────────────────────────────────────────────────

    def tail(self, every: bool = False) -> bool:
        """Read on at one place, or at all of them; whether there was anything."""
        if self._broker.down:
            return False
        found = False
        for place in READ if every else (self._random.choice(READ),):
            before = self.read[place]
            limit = 10_000 if every else self._at_once
            records, position = self._broker.log(log_of(place)).read(before, limit)
            if position == before:
                continue
            found = True
            self.read[place] = position
            if place[0] == OUTCOMES:
                self.tailer.on_outcomes(answers_read(records), place, position)
                continue
            self.queue.extend(self.tailer.on_events(place, event_records(place, records), position))
            if self.tailer.owns(place):
                self._answered[place] = self.tailer.resume(place)
        for place in sorted(self.tailer.wanted_ends()):
            self.tailer.on_end(place, self.true_end(place))
        return found

    def _answer(self) -> bool:
        """The idempotent producer delivers what was answered, one after the other."""
        if not self.queue or self._broker.down:
            return False
        answer = self.queue.pop(0)
        name = TOPICS.outcomes, self.slot % PARTITIONS
        self._broker.append(name, outcome(answer, self._broker.now))
        return True

    def _commit_answered(self) -> bool:
        if not self.queue and not self._broker.down:
            for place, offset in self._answered.items():
                if place not in self._again:
                    self._broker.answered[place] = offset
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
        self._inbox.append(lambda: self.lane.take(generation, found))
        return True

    def _engine_step(self) -> bool:
        self.engine.step(self._broker.now)
        if len(self.runner) and self._random.random() < 0.5:
            self.runner.end_one(self._random)
            return True
        return False
