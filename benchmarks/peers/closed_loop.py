"""The closed loop that every peer runs: load, decide, append, then the next command.

    waiting (as many as in flight) ─► worker: the peer's command ─► resting (of 1,000 aggregates)
          └────────────────────────── the one that rested longest ◄──────────┘

An aggregate ends with its tenth event and a new one takes its slot. Imported inside each peer's own environment:
the standard library only.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from uuid import UUID, uuid4

AGGREGATES = 1_000
EVENTS_PER_AGGREGATE = 10
EVENT_BYTES = 256
WARM_UP_S = 1.5
"""As for FlexCore (benchmarks/load.py)."""


@dataclass(frozen=True, slots=True)
class Command:
    """Append to this aggregate the event that follows its `version` first ones."""

    slot: int
    aggregate_id: UUID
    version: int
    payload: str
    sent: float


class Aggregates:
    """What a peer's aggregates are at; they live on from run to run."""

    def __init__(self) -> None:
        self._streams: list[tuple[UUID, int]] = []

    def grow(self, number: int) -> None:
        """Have at least `number` of them."""
        self._streams += [(uuid4(), 0) for _ in range(len(self._streams), number)]

    def version(self, slot: int) -> int:
        """Events of the aggregate that has this slot now."""
        return self._streams[slot][1]

    def command(self, slot: int, sent: float) -> Command:
        """The next command to that aggregate."""
        aggregate_id, version = self._streams[slot]
        payload = f"{aggregate_id}/{version + 1}/".ljust(EVENT_BYTES, "x")
        return Command(slot, aggregate_id, version, payload, sent)

    def appended(self, command: Command) -> None:
        """The command was accepted."""
        version = command.version + 1
        ended = version == EVENTS_PER_AGGREGATE
        self._streams[command.slot] = (uuid4(), 0) if ended else (command.aggregate_id, version)

    def abandon(self, command: Command) -> None:
        """Nobody knows what became of the command: its aggregate gets no other one."""
        self._streams[command.slot] = uuid4(), 0


class Turn:
    """One measured run; `take` and `done` are called by any number of threads."""

    def __init__(self, aggregates: Aggregates, in_flight: int, seconds: float) -> None:
        width = max(AGGREGATES, in_flight)
        aggregates.grow(width)
        now = time.perf_counter()
        self._aggregates = aggregates
        self._start = now + WARM_UP_S
        self._end = self._start + seconds
        self._waiting = deque((slot, now) for slot in range(in_flight))
        self._resting = deque(range(in_flight, width))
        self._lock = threading.Lock()
        self.latencies_ms: list[float] = []
        self.accepted = 0
        self.error = ""

    def take(self) -> Command | None:
        """The next command for a worker, or None: the run is over."""
        with self._lock:
            if self.error or time.perf_counter() >= self._end:
                return None
            slot, sent = self._waiting.popleft()
        return self._aggregates.command(slot, sent)

    def done(self, command: Command) -> None:
        """The command was accepted just now."""
        now = time.perf_counter()
        self._aggregates.appended(command)
        with self._lock:
            self.accepted += 1
            if self._start <= now <= self._end:
                self.latencies_ms.append((now - command.sent) * 1000)
            self._resting.append(command.slot)
            self._waiting.append((self._resting.popleft(), now))

    def failed(self, command: Command, error: Exception) -> None:
        """The command was not accepted, which ends the run."""
        self._aggregates.abandon(command)
        self.error = self.error or f"{type(error).__name__}: {error}"

    def percentile(self, share: float) -> float:
        """Milliseconds from issue to acceptance; 0 where nothing was measured."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


@dataclass(slots=True)
class Filling:
    """Before the first run: aggregate n gets n modulo 10 events, as they will have later on.

    Without it a slow peer would be asked for shorter aggregates than a fast one.
    """

    aggregates: Aggregates
    accepted: int = 0
    error: str = ""
    _waiting: deque[int] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.aggregates.grow(AGGREGATES)
        self._waiting.extend(slot for slot in range(AGGREGATES) if slot % EVENTS_PER_AGGREGATE)

    def take(self) -> Command | None:
        """The next command for a worker, or None: nothing is left for it."""
        with self._lock:
            if self.error or not self._waiting:
                return None
            slot = self._waiting.popleft()
        return self.aggregates.command(slot, 0.0)

    def done(self, command: Command) -> None:
        """The command was accepted just now."""
        self.aggregates.appended(command)
        with self._lock:
            self.accepted += 1
            if self.aggregates.version(command.slot) < command.slot % EVENTS_PER_AGGREGATE:
                self._waiting.append(command.slot)

    def failed(self, command: Command, error: Exception) -> None:
        """The command was not accepted, which ends the filling."""
        self.aggregates.abandon(command)
        self.error = self.error or f"{type(error).__name__}: {error}"
