"""Bugs that are planted to see whether the simulation finds them: the shipped code, one thing broken.

Each is a context manager that gives the parts to simulate with; code is restored at its end.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from domain.contexts import Context
from streams import states
from streams.answers import Answer
from streams.due_snapshots import DueSnapshots
from streams.lane import Lane
from streams.memory_stream_index import MemoryStreamIndex
from streams.records import EventRecord, Identity, header_map
from streams.snapshots import Snapshot
from streams.states import State, States
from streams.turn import Place, Settled, Transaction, Turn
from streams.turn_view import TurnView
from streams.verdicts import CommandRecord, NewEvent
from tests.simulation.asking import Asking, Stable
from tests.simulation.broker import Session
from tests.simulation.lane_thread import LaneThread
from tests.simulation.places import log_of
from tests.simulation.read_back import ReadBack
from tests.simulation.worker import Parts
from tests.simulation.writer import Steps, Writer, is_internal

Planted = Callable[[], AbstractContextManager[Parts]]


@contextmanager
def _replaced(owner: Any, **methods: Any) -> Iterator[Parts]:
    before = {name: getattr(owner, name) for name in methods}
    for name, method in methods.items():
        setattr(owner, name, method)
    try:
        yield Parts()
    finally:
        for name, method in before.items():
            setattr(owner, name, method)


@contextmanager
def _with(parts: Parts) -> Iterator[Parts]:
    yield parts


# ── lane ─────────────────────────────────────────────────────────────────────────────────


def no_command_window() -> AbstractContextManager[Parts]:
    """What was answered before is not looked up."""

    def answer(self: Any, identity: Identity) -> Answer | None:
        return None

    return _replaced(TurnView, answer=answer)


def overlay_missing() -> AbstractContextManager[Parts]:
    """A turn does not see what it has decided itself."""

    def state(self: Any, context: Context, aggregate_id: str) -> tuple[int, Any]:
        found: tuple[int, Any] = self._states.get(context, aggregate_id)
        return found

    return _replaced(TurnView, state=state)


class _StaleStates(States):
    """Believes what it knows, whatever the index has read since."""

    def get(self, context: Context, aggregate_id: str) -> State:
        return self._states.get((context.name, aggregate_id)) or super().get(context, aggregate_id)


class _StaleLane(Lane):
    """Keeps its states from one generation to the next."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._states = _StaleStates(self._index, self._judge.codec)

    def close(self) -> None:
        kept = self._states
        super().close()
        self._states = kept


class _PastParked(Lane):
    """Judges what stands behind a parked command, which takes the offset past it."""

    def _judge_record(self, record: CommandRecord, turn: Turn, view: TurnView) -> None:
        if (record.context, record.partition) in self._parked:
            turn.apply(record, self._judge.judge(record, view, turn.at, final=True))
        else:
            super()._judge_record(record, turn, view)


class _NoRepair(Lane):
    """What is committed and not in the log stays missing."""

    def _repair(self, turn: Turn, view: TurnView) -> None:
        for _ in self._repairs.due():
            pass


# ── fence, writer, tailer ────────────────────────────────────────────────────────────────


class _NoStableOffsets(Asking):
    """Takes the group's offsets while a transaction that changes them is undecided."""

    def stable(self, places: Collection[Place]) -> Stable | None:
        return self.committed(places)


class _NoFence(_NoStableOffsets):
    """Nor are writers that are gone shut out, nor is the log read to its end."""

    def fence(self, writers: Collection[str]) -> Steps:
        yield

    def end(self, place: Place) -> int:
        return 0


class _StableEnd(Asking):
    """Takes the LSO for the end."""

    def end(self, place: Place) -> int:
        return self.broker.log(log_of(place)).stable_end


class _NoTakeOver(ReadBack):
    """Answers from where it stands, not from where the last owner had come to."""

    def answered_before(self, place: Place) -> int:
        return self._index.position(*place)


class _AnsweringLane(Lane):
    """Leaves the answers of a turn for its worker."""

    decided: tuple[Answer, ...] = ()

    def committed(self, ends: Any) -> Settled:
        assert self._turn is not None
        self.decided = tuple(a for a in self._turn.answers.values() if a.versions and a.hash)
        return super().committed(ends)


class _EarlyAnswers(LaneThread):
    """Answers on the commit's word."""

    def on_settled(self, settled: Settled) -> None:
        assert isinstance(self.lane, _AnsweringLane)
        self._read_back.queue.extend(self.lane.decided)
        super().on_settled(settled)


class _UnfencedWriter(Writer):
    """Sends no offsets with a transaction that holds the engine's events alone."""

    def send_offsets(self, session: Session, transaction: Transaction) -> None:
        if not is_internal(transaction):
            super().send_offsets(session, transaction)


# ── snapshots ────────────────────────────────────────────────────────────────────────────


class _SnapshotsAtOnce(Lane):
    """Writes the states that a turn comes to in its own transaction, of which a part may get lost."""

    def _transaction(self, turn: Turn) -> Transaction:
        self._snapshots.note(turn)
        self._snapshots._not_before = turn.at
        self._snapshots.add_to(turn, self._next)
        return super()._transaction(turn)


@contextmanager
def of_a_torn_turn() -> Iterator[Parts]:
    """What is judged again makes an event of the same id, maybe behind other events."""

    def same_id(snapshot: Snapshot, event: EventRecord) -> bool:
        return snapshot.event_id == event.event_id

    def unseen(_: DueSnapshots, new: NewEvent) -> EventRecord:
        at = new.context, new.aggregate_id, new.version, new.partition
        return EventRecord(*at, 0, 0, new.value, header_map(new.headers))

    believed = _replaced(states, stands_for=same_id)
    with believed, _replaced(DueSnapshots, _seen=unseen):
        yield Parts(lane=_SnapshotsAtOnce)


def redaction_overlooked() -> AbstractContextManager[Parts]:
    return _replaced(MemoryStreamIndex, distrust=lambda *_: None)


PLANTED: dict[str, Planted] = {
    "no command window": no_command_window,
    "overlay missing": overlay_missing,
    "stale cache kept across generations": lambda: _with(Parts(lane=_StaleLane)),
    "offsets committed past parked": lambda: _with(Parts(lane=_PastParked)),
    "repair off": lambda: _with(Parts(lane=_NoRepair)),
    "no fence": lambda: _with(Parts(asking=_NoFence)),
    "offsets not stable": lambda: _with(Parts(asking=_NoStableOffsets)),
    "LSO taken for the end": lambda: _with(Parts(asking=_StableEnd)),
    "answers position not taken over": lambda: _with(Parts(read_back=_NoTakeOver)),
    "answer before read-back": lambda: _with(Parts(lane=_AnsweringLane, lane_thread=_EarlyAnswers)),
    "snapshot of a torn turn believed": of_a_torn_turn,
    "redaction overlooked by snapshots": redaction_overlooked,
    "internal transaction without offsets": lambda: _with(Parts(writer=_UnfencedWriter)),
}
