"""Drives lane and fence on Kafka: one thread for transactions, a watchdog, and the fence's actions.

Faust's loop ──take──► inbox ──► lane thread: step → KafkaWriter → committed | failed
rebalance    ──close──► (waits for the transaction in flight) ──open_places──► fence ──► lane
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

import structlog
from confluent_kafka import KafkaException

from domain.errors import Unavailable
from streams.appends import Append
from streams.error_table import Action, TransactionError
from streams.exit_codes import EXIT_INTERNAL, EXIT_STUCK
from streams.failpoints import Failpoint, reached
from streams.kafka_fence import KafkaFence, Opened
from streams.kafka_group import KafkaGroup
from streams.kafka_tailer import KafkaTailer
from streams.kafka_writer import KafkaWriter
from streams.lane import Lane
from streams.stream_index import StreamIndex
from streams.turn import Place, Settled, Transaction
from streams.verdicts import CommandRecord, InternalCommand

log = structlog.get_logger("flexcore.lane")

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
        self._tailer = tailer
        self._fence = KafkaFence(index, writer, group, tailer, writer_id)
        self._on_opening = on_opening
        self._on_settled = on_settled
        self._on_commit_s = on_commit_s
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy_since: float | None = None
        self._stopping = threading.Event()
        self._fencing = threading.Lock()
        self._fencing_since: float | None = None
        self._opened: Opened | None = None
        self._reopens = 0
        self._looked = 0.0
        self.broken: Mapping[Place, str] = {}
        self.closings = 0

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
            self.closings += 1
            self._opened = None
            self._lane.close()
        self._tailer.disown()
        reached(Failpoint.AFTER_REVOCATION)

    def open_places(
        self, places: Collection[Place], generation: int, group: bytes, closings: int
    ) -> Mapping[Place, int]:
        """Fence and open; `closings` as they were when the group gave these places.

        Returns the command offsets to read on from.

        Raises Superseded where another rebalance came, else KafkaException or Unavailable where
        Kafka does not answer.
        """
        opened = Opened(generation, group, tuple(places))
        with self._lock:
            if self.closings != closings:
                raise Superseded
            self._opened = opened
        return self._open(opened)

    def _open(self, opened: Opened) -> Mapping[Place, int]:
        with self._fencing:
            self._fencing_since = time.monotonic()
            try:
                opening = self._fence.run(
                    opened, self._lane.unseen(opened.generation), lambda: self._check(opened)
                )
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
        return opening.offsets

    def _check(self, opened: Opened) -> None:
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
            for place, end in self._fence.ends(self._lane.wanted_ends()).items():
                self._lane.on_end(place, end)
        except KafkaException as error:
            # What is parked is answered `unavailable` when its time is up.
            log.warning("ends_not_known", what=str(error))

    def _act(
        self,
        action: Action,
        error: TransactionError,
        transaction: Transaction,
        opened: Opened | None,
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

    def _reopen(self, opened: Opened | None) -> None:
        """The fence again, which makes new producers and learns by reading what became of this."""
        self._reopens += 1
        if opened is None:
            return
        if self._reopens > MAX_REOPENS:
            log.error("lane_cannot_reopen", attempts=self._reopens)
            os._exit(EXIT_STUCK)
        try:
            again = Opened(opened.generation, opened.group, opened.places)
            with self._lock:
                self._check(opened)
                self._opened = again
            self._open(again)
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
