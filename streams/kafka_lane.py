"""Drives lane and fence on Kafka: one thread for transactions, a watchdog, and the fence's actions.

Faust's loop ──take──► inbox ──► lane thread: step → KafkaWriter → committed | failed
rebalance    ──close──► (waits for the transaction in flight) ──open_places──► fence ──► lane
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from confluent_kafka import KafkaException

from domain.errors import Unavailable
from streams.appends import Append
from streams.broker_wait import until_answered
from streams.error_table import Action, TransactionError
from streams.failpoints import Failpoint, reached
from streams.fence import AwaitRead, FenceSlots, Opening, ReadEnds, ReadGroup, ReadStable, fence
from streams.kafka_group import KafkaGroup
from streams.kafka_tailer import OUTCOMES, KafkaTailer
from streams.kafka_writer import KafkaWriter
from streams.lane import Lane
from streams.stream_index import StreamIndex
from streams.turn import Place, Settled, Transaction
from streams.verdicts import CommandRecord, InternalCommand

log = structlog.get_logger("flexcore.lane")

EXIT_STUCK = 70
EXIT_INTERNAL = 71
WATCHDOG_S = 25.0
"""The writer gives up what hangs within 20 s; a lane that hangs otherwise would block the rebalance
of the whole group."""
IDLE_S = 0.005
"""How long a lane with unfinished business waits for input before it looks again."""
LOOK_S = 1.0
"""How often the lane looks at what came without a command: statistics, gaps."""
MAX_REOPENS = 5
MAX_HANGING = 3
"""Threads that a call of librdkafka does not give back, before a new process is the better try."""
FENCE_LONG_S = 5.0
"""Reading millions of events takes longer; the index says so itself."""
HANGING_AFTER_S = 5.0
"""Without any progress; to end what is merely slow does no harm, its ids are shut out first."""
FENCE_WAIT_S = 20.0
"""A broker serves again 3 s after a kill -9; beyond this a new process is the better try."""


@dataclass(frozen=True, eq=False, slots=True)
class _Opened:
    """What is to be open now; compared by identity, so that a later opening supersedes it."""

    generation: int
    group: bytes
    places: Collection[Place]


class Superseded(Exception):
    """Another rebalance came while the fence was at work."""


class KafkaLane(threading.Thread):
    """Owns the lane; everything else talks to it through `take`, `close` and `open_places`."""

    def __init__(
        self,
        lane: Lane,
        index: StreamIndex,
        writer: KafkaWriter,
        group: KafkaGroup,
        tailer: KafkaTailer,
        *,
        writer_id: str,
        on_opening: Callable[[Collection[Place]], None],
        on_settled: Callable[[Settled], None],
        on_commit_s: Callable[[float], None],
    ) -> None:
        super().__init__(name="lane", daemon=True)
        self._lane = lane
        self._index = index
        self._writer = writer
        self._group = group
        self._tailer = tailer
        self._writer_id = writer_id
        self._on_opening = on_opening
        self._on_settled = on_settled
        self._on_commit_s = on_commit_s
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy_since: float | None = None
        self._stopping = threading.Event()
        self._fencing = threading.Lock()
        self._fencing_since: float | None = None
        self._opened: _Opened | None = None
        self._reopens = 0
        self._looked = 0.0
        self.broken: Mapping[Place, str] = {}

    # ── from other threads ───────────────────────────────────────────────────────────────

    @property
    def owned(self) -> frozenset[Place]:
        return self._lane.owned

    @property
    def queued(self) -> int:
        return self._lane.queued

    @property
    def stuck(self) -> bool:
        """Whether the fence waits for longer than a sound Kafka makes it wait."""
        since = self._fencing_since
        return since is not None and time.monotonic() - since > FENCE_LONG_S

    def take(self, generation: int, records: Sequence[CommandRecord]) -> None:
        self._inbox.put(lambda: self._lane.take(generation, records))

    def take_internal(self, commands: Sequence[InternalCommand]) -> None:
        self._inbox.put(lambda: self._lane.take_internal(commands))

    def append(self, append: Append) -> None:
        """Let the next transaction hold it; `append.on_done` is called afterwards."""
        self._inbox.put(lambda: self._lane.take_append(append))

    def close(self) -> None:
        """Give all places up; returns when the transaction in flight has ended."""
        with self._lock:
            self._opened = None
            self._lane.close()
        self._tailer.disown()
        reached(Failpoint.AFTER_REVOCATION)

    def open_places(self, places: Collection[Place], generation: int, group: bytes) -> None:
        """Fence and open. Raises Superseded where another rebalance came, else KafkaException or
        Unavailable where Kafka does not answer.
        """
        self._open(self._opened, _Opened(generation, group, tuple(places)))

    def _open(self, before: _Opened | None, opened: _Opened) -> None:
        with self._lock:
            if self._opened is not before:
                raise Superseded
            self._opened = opened
        with self._fencing:
            self._fencing_since = time.monotonic()
            try:
                opening = self._fence(opened)
            finally:
                self._fencing_since = None
            self._on_opening(opening.offsets.keys())
            self._tailer.own(opening.offsets, lambda place: self._index.position(*place))
            with self._lock:
                self._check(opened)
                reached(Failpoint.IN_FENCE_BEFORE_OPEN)
                self._lane.open(opened.generation, opened.group, opening.offsets, opening.last_keys)
        # The lane has its places to announce, even if nobody asks anything of it.
        self._inbox.put(lambda: None)
        self.broken = {}
        for place, key in opening.broken.items():
            self._broken(place, key)

    def _check(self, opened: _Opened) -> None:
        if self._opened is not opened:
            raise Superseded

    def stop(self) -> None:
        self.close()
        self._stopping.set()
        self._inbox.put(lambda: None)
        self.join(10)

    # ── the lane's thread ────────────────────────────────────────────────────────────────

    def run(self) -> None:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        try:
            while not self._stopping.is_set():
                self._turn()
        except Exception:
            log.exception("lane_died")
            os._exit(EXIT_INTERNAL)

    def _turn(self) -> None:
        reached(Failpoint.STALL_LANE)
        news = self._wait(LOOK_S if not self._lane.waiting else IDLE_S)
        self._look()
        with self._lock:
            # Under the lock, or a rebalance could slip in between check and queue.
            for tell in news:
                tell()
            self._look_up_ends()
            transaction = self._lane.step(datetime.now(UTC))
            if transaction is None:
                return
            self._busy_since = time.monotonic()
            result = self._writer.run(transaction)
            self._on_commit_s(time.monotonic() - self._busy_since)
            self._busy_since = None
            opened = self._opened
            if isinstance(result, TransactionError):
                outcome: Action | Settled = self._lane.failed(result)
                self._writer.discard()
                if outcome is Action.REJOIN:
                    self._tailer.disown()
            else:
                outcome = self._lane.committed(result)
                # Under the lock, or the engine could take for news what a rebalance has overtaken.
                self._on_settled(outcome)
        if isinstance(outcome, Settled):
            self._reopens = 0
            for append, answers in outcome.appends:
                append.on_done(answers)
        else:
            assert isinstance(result, TransactionError)
            self._act(outcome, result, transaction, opened)

    def _wait(self, timeout_s: float | None) -> list[Callable[[], None]]:
        """Everything that is in the inbox; waits only where there is nothing."""
        news = []
        try:
            news.append(self._inbox.get(timeout=timeout_s))
            while True:
                news.append(self._inbox.get_nowait())
        except queue.Empty:
            return news

    def _look(self) -> None:
        """Take in statistics, and stop places whose log lacks an event that nobody can write."""
        if time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        with self._lock:
            self._writer.idle()
            opened = self._opened
            if opened is None:
                return
            held = self._lane.unseen(opened.generation)
            for place, key in self._tailer.gaps().items():
                if place in self._lane.owned and key not in held:
                    self._lane.stop_place(place)
                    self._broken(place, key)

    def _broken(self, place: Place, key: str) -> None:
        self.broken = {**self.broken, place: key}
        log.critical("partition_stopped", place=place, missing_event=key)

    def _look_up_ends(self) -> None:
        try:
            for place, end in self._ends(self._lane.wanted_ends()).items():
                self._lane.on_end(place, end)
        except KafkaException as error:
            # What is parked is answered `unavailable` when its time is up.
            log.warning("ends_not_known", what=str(error))

    def _act(
        self,
        action: Action,
        error: TransactionError,
        transaction: Transaction,
        opened: _Opened | None,
    ) -> None:
        """`opened` is what the transaction was run for: a rebalance may have come since."""
        log.warning(
            "transaction_failed",
            error=error.name,
            fatal=error.fatal,
            action=action.value,
            writes=len(transaction.writes),
            what=error.message,
        )
        if self._writer.hanging >= MAX_HANGING:
            os._exit(EXIT_STUCK)
        if action is Action.REJOIN:
            self._abort_open()
        if action is Action.REOPEN:
            self._reopen(opened)

    def _abort_open(self) -> None:
        """Let nobody wait for what this worker may not commit any more."""
        try:
            self._writer.connect()
        except KafkaException as error:
            log.warning("not_aborted", what=str(error))

    def _reopen(self, opened: _Opened | None) -> None:
        """The fence again, which makes new producers and learns by reading what became of this."""
        self._reopens += 1
        if opened is None:
            return
        if self._reopens > MAX_REOPENS:
            log.error("lane_cannot_reopen", attempts=self._reopens)
            os._exit(EXIT_STUCK)
        try:
            again = _Opened(opened.generation, opened.group, opened.places)
            self._open(opened, again)
        except Superseded:
            log.info("reopening_superseded")
        except (KafkaException, Unavailable) as error:
            log.error("reopening_failed", what=str(error))  # noqa: TRY400 - the process ends here
            os._exit(EXIT_STUCK)

    def _watch(self) -> None:
        while not self._stopping.wait(1.0):
            since = self._busy_since
            if since is not None and time.monotonic() - since > WATCHDOG_S:
                log.critical("lane_stuck", seconds=round(time.monotonic() - since))
                os._exit(EXIT_STUCK)

    # ── the fence's actions ──────────────────────────────────────────────────────────────

    def _fence(self, opened: _Opened) -> Opening:
        self._writer.connect()
        steps = fence(
            opened.places,
            self._writer_id,
            self._index,
            self._lane.unseen(opened.generation),
            self._tailer.lacking,
        )
        result: Any = None
        patience = time.monotonic() + HANGING_AFTER_S
        seconds: dict[str, float] = {}
        while True:
            self._check(opened)
            try:
                action = steps.send(result)
            except StopIteration as done:
                opening: Opening = done.value
                log.info("fence_passed", seconds=seconds)
                return opening
            began = time.monotonic()
            match action:
                case ReadGroup():
                    result = self._answered(partial(self._group.seen, opened.places))
                case FenceSlots():
                    log.warning("fencing", writers=sorted(action.writers))
                    self._group.fence(action.writers)
                case ReadStable():
                    reached(Failpoint.IN_FENCE_AFTER_SLOTS)
                    result = self._group.stable(action.places)
                    if result is None and time.monotonic() > patience:
                        self._end_hanging(opened)
                        patience = time.monotonic() + HANGING_AFTER_S
                case ReadEnds():
                    outcomes = {(OUTCOMES, partition) for _, partition in action.places}
                    wanted = {*action.places, *outcomes}
                    result = self._answered(partial(self._ends, wanted))
                case AwaitRead():
                    self._await_read(action.ends, opened)
            seconds[type(action).__name__] = round(time.monotonic() - began, 3)

    def _answered(self, ask: Callable[[], Any]) -> Any:
        """What the group says, asked again while its coordinator or a leader moves."""
        return until_answered(ask, time.monotonic() + FENCE_WAIT_S)

    def _ends(self, places: Collection[Place]) -> Mapping[Place, int]:
        if not places:
            return {}
        return self._group.ends({place: self._tailer.topic(place) for place in places})

    def _await_read(self, ends: Mapping[Place, int], opened: _Opened) -> None:
        def read() -> int:
            return sum(min(self._index.position(*place), end) for place, end in ends.items())

        far, patience = read(), time.monotonic() + HANGING_AFTER_S
        while not self._tailer.wait_read(lambda: read() == sum(ends.values()), timeout_s=0.5):
            self._check(opened)
            if (now := read()) > far:
                far, patience = now, time.monotonic() + HANGING_AFTER_S
            elif time.monotonic() > patience:
                self._end_hanging(opened)
                patience = time.monotonic() + HANGING_AFTER_S

    def _end_hanging(self, opened: _Opened) -> None:
        """Where nothing moves, it may be a transaction that nobody will ever end."""
        try:
            self._group.end_hanging(opened.places, opened.group, self._writer_id)
        except (KafkaException, Unavailable) as error:
            log.warning("hanging_not_ended", what=str(error))
        # The same ids were initialized: our own producers are of an older epoch now.
        self._writer.discard()
        self._writer.connect()
