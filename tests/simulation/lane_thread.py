"""Drives the shipped lane and fence: `KafkaLane` on the model, each `yield` a place to be overtaken.

inbox ──► lane: step → writer → committed | failed        close │ open ──► fence ──► lane
"""

from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from agents.engine import Engine
from streams.error_table import Action, TransactionError
from streams.fence import AwaitRead, FenceSlots, Opening, ReadEnds, ReadGroup, ReadStable, fence
from streams.lane import Lane
from streams.stream_index import OUTCOMES, StreamIndex
from streams.turn import Place, Settled
from tests.simulation.asking import Asking
from tests.simulation.read_back import ReadBack
from tests.simulation.writer import Network, Steps, Writer, is_internal

MAX_REOPENS = 5
LOOK_MS = 1_000


@dataclass(frozen=True, eq=False, slots=True)
class Opened:
    """What is to be open now; compared by identity, so that a later opening supersedes it."""

    generation: int
    group: bytes
    places: Collection[Place]


class Superseded(Exception):
    """Another rebalance came while the fence was at work."""


class LaneThread:
    """`busy` = a transaction is in flight, `acting` = what its failure asks for is.

    `internal` = the engine alone asked for what the last transaction writes.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        lane: Lane,
        index: StreamIndex,
        writer: Writer,
        asking: Asking,
        read_back: ReadBack,
    ) -> None:
        self.lane = lane
        self.inbox: list[Callable[[], None]] = []
        self.busy = False
        self.acting = False
        self.committed = False
        self.internal = False
        self.ended = ""
        self.broken: Mapping[Place, str] = {}
        self.engine: Engine
        self._broker = network.broker
        self._note = partial(network.note, name)
        self._name = name
        self._index = index
        self._writer = writer
        self._asking = asking
        self._read_back = read_back
        self._fencing = False
        self._reopens = 0
        self._looked_ms = 0
        self._opened: Opened | None = None
        self.closings = 0

    @property
    def generation(self) -> int:
        """The generation that is open or being opened; -1 while closed."""
        return -1 if self._opened is None else self._opened.generation

    # ── the lane's thread ────────────────────────────────────────────────────────────────

    def run(self) -> Steps:
        yield from self._writer.connect()
        while True:
            yield
            news, self.inbox = self.inbox, []
            self._look()
            self.busy = True
            for tell in news:
                tell()
            yield from self._look_up_ends()
            yield from self._turn()
            self.busy = self.acting = False

    def _turn(self) -> Steps:
        transaction = self.lane.step(self._broker.another_moment())
        if transaction is None:
            return
        self.internal = is_internal(transaction)
        self._note("judged", len(transaction.writes), dict(transaction.offsets))
        result = yield from self._writer.run(transaction)
        if isinstance(result, TransactionError):
            action, opened = self.lane.failed(result), self._opened
            self._note("failed", result.name, action.value)
            self._writer.discard()
            if action is Action.REJOIN:
                self._read_back.disown()
            self.busy, self.acting = False, True
            yield
            # A rebalance may have come since: `opened` is what the transaction was run for.
            yield from self._act(action, opened)
        else:
            self._note("committed", result)
            self.on_settled(self.lane.committed(result))
            self._reopens, self.committed = 0, True

    def on_settled(self, settled: Settled) -> None:
        self.engine.on_events(settled.events)

    def _look_up_ends(self) -> Steps:
        wanted = self.lane.wanted_ends()
        if wanted and not self._broker.down:
            yield
            for place in sorted(wanted):
                self.lane.on_end(place, self._asking.end(place))

    def _look(self) -> None:
        """Take in statistics, and stop places whose log lacks an event that nobody can write."""
        if self._broker.now_ms - self._looked_ms < LOOK_MS:
            return
        self._looked_ms = self._broker.now_ms
        self._writer.idle()
        held = self.lane.unseen(self.generation)
        for place, key in self._read_back.tailer.gaps().items():
            if place in self.lane.owned and key not in held:
                self.lane.stop_place(place)
                self.broken = {**self.broken, place: key}
                self._note("partition_stopped", place, key)

    def _act(self, action: Action, opened: Opened | None) -> Steps:
        if action is Action.REJOIN:
            yield from self._writer.connect()
        elif opened is not None:
            yield from self._reopen(opened)

    def _reopen(self, opened: Opened) -> Steps:
        self._reopens += 1
        if self._reopens > MAX_REOPENS:
            self.ended = "cannot reopen"
            return
        try:
            again = Opened(opened.generation, opened.group, opened.places)
            yield from self._until_free()
            self._check(opened)
            self._opened = again
            yield from self._open(again)
        except Superseded:
            return

    # ── from the group ───────────────────────────────────────────────────────────────────

    def close(self) -> Steps:
        """Give all places up, when the transaction in flight has ended."""
        yield from self._until_free()
        self._note("closed")
        self.closings += 1
        self.committed = False
        self._opened = None
        self.lane.close()
        self._read_back.disown()

    def open_places(self, opened: Opened, closings: int) -> Steps:
        """Fence and open. Raises Superseded."""
        yield from self._until_free()
        if self.closings != closings:
            raise Superseded
        self._opened = opened
        yield from self._open(opened)

    def _open(self, opened: Opened) -> Steps:
        while self._fencing:
            yield
        self._fencing = True
        try:
            opening = yield from self._fence(opened)
            self._own_steps(frozenset(opening.offsets))
            yield from self._read_back.own(opening.offsets)
            yield from self._until_free()
            self._check(opened)
            self.lane.open(opened.generation, opened.group, opening.offsets, opening.last_keys)
        finally:
            self._fencing = False
        self.broken = opening.broken

    def _until_free(self) -> Steps:
        """Take the lock that is held while a transaction is in flight."""
        while self.busy:
            yield

    def _own_steps(self, places: frozenset[Place]) -> None:
        """As `Engine.own`, whose wait for the engine's thread a single thread cannot do."""
        self.engine._inbox.put(lambda: self.engine._own(places))
        self.engine.step(self._broker.now)

    def _check(self, opened: Opened) -> None:
        if self._opened is not opened:
            raise Superseded

    # ── the fence's actions ──────────────────────────────────────────────────────────────

    def _fence(self, opened: Opened) -> Generator[None, None, Opening]:
        yield from self._writer.connect()
        held = self.lane.unseen(opened.generation)
        lacking = self._read_back.tailer.lacking
        steps = fence(opened.places, self._name, self._index, held, lacking)
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
                    result = self._asking.seen(action.places)
                case FenceSlots():
                    yield from self._asking.fence(action.writers)
                case ReadStable():
                    result = self._asking.stable(action.places)
                case ReadEnds():
                    wanted = {*action.places, *((OUTCOMES, p) for _, p in action.places)}
                    result = {place: self._asking.end(place) for place in wanted}
                case AwaitRead():
                    yield from self._await_read(action.ends, opened)

    def _await_read(self, ends: Mapping[Place, int], opened: Opened) -> Steps:
        while any(self._index.position(*place) < end for place, end in ends.items()):
            self._check(opened)
            yield
