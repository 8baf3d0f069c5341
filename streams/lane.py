"""The lane: one transaction at a time over all partitions a worker owns. No I/O, no clock.

    take ──► step(now) → Transaction ──► driver runs it ──► committed() → Settled | failed() → Action

A turn judges everything that is queued against an overlay; the overlay becomes the state only when
the transaction is committed. What was committed is looked for in the log (by the stream index) and
written again should it be missing there, so nothing rests on the word of a commit alone.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from domain.contexts import CONTEXTS
from domain.errors import FlexCoreError, Invalid
from domain.execution.messages import CompleteStep, FailStep
from streams.answers import WORKER
from streams.appends import Append, judge_append, known_append, not_owned
from streams.commit_metadata import CommitMetadata
from streams.due_snapshots import RHYTHM, DueSnapshots, Rhythm
from streams.error_table import Action, TransactionError, action_for
from streams.judging import Judge
from streams.parking import Parking
from streams.repairs import Repairs
from streams.states import States
from streams.stream_index import Damaged, StreamIndex
from streams.suspects import MemorySuspects, Suspects, WatchedJudge
from streams.topics import Topics, partition_of
from streams.turn import Place, Settled, Transaction, Turn
from streams.turn_view import TurnView
from streams.verdicts import (
    CommandRecord,
    Decided,
    InternalCommand,
    NeedsPipeline,
    Rejected,
    Verdict,
)

log = structlog.get_logger("flexcore.lane")

MAX_PARKED = timedelta(seconds=2)


class Lane:
    """Driven by one thread. Closed until `open`; what is queued while closed is dropped."""

    def __init__(
        self,
        judge: Judge,
        index: StreamIndex,
        topics: Topics,
        *,
        transactional_id: str,
        url: str,
        source: str = WORKER,
        rhythm: Rhythm = RHYTHM,
        suspects: Suspects | None = None,
    ) -> None:
        self._judge = judge
        self._watched = WatchedJudge(judge, suspects or MemorySuspects())
        self._index = index
        self._topics = topics
        self._writer = transactional_id, url
        self._source = source
        self._rhythm = rhythm
        self._group = b""
        self._generation = -1
        self._next: dict[Place, int] = {}
        self._last_key: dict[Place, str] = {}
        self._queue: deque[CommandRecord] = deque()
        self._internal: deque[InternalCommand] = deque()
        self._parked = Parking()
        self._appends: deque[Append] = deque()
        self._states = States(index, judge.codec)
        self._repairs = Repairs(index)
        self._snapshots = DueSnapshots(index, judge.codec, rhythm)
        self._turn: Turn | None = None
        self._announced = False
        self.repaired = 0

    # ── ownership ────────────────────────────────────────────────────────────────────────

    @property
    def owned(self) -> frozenset[Place]:
        return frozenset(self._next)

    @property
    def queued(self) -> int:
        """Commands that wait for a turn, parked ones included."""
        return len(self._queue) + len(self._parked)

    def open(
        self,
        generation: int,
        group: bytes,
        offsets: Mapping[Place, int],
        last_keys: Mapping[Place, str],
    ) -> None:
        """Own these places from their stable command offsets on; the index holds all their events.

        A new generation fetches again from those offsets. Within the same one nobody will fetch
        again what is queued, and nobody else will write again what was committed but turns out to
        be missing: both stay. Results of the engine stay in any case.
        """
        if generation != self._generation:
            self.close()
        self._watched.look()
        self._queue.extendleft(reversed(self._parked.empty()))
        self._internal = deque(c for c in self._internal if (c.context, c.partition) in offsets)
        self._generation, self._group = generation, group
        self._next, self._last_key = dict(offsets), dict(last_keys)
        self._queue.extendleft(reversed(self._repairs.find()))
        self._repairs.reopen(last_keys)

    def close(self) -> None:
        """Own nothing and know nothing; a running transaction must have ended."""
        self._next, self._last_key = {}, {}
        self._queue = deque()
        self._parked = Parking()
        self._give_up(lambda _: True)
        self._states = States(self._index, self._judge.codec)
        self._repairs = Repairs(self._index)
        self._snapshots = DueSnapshots(self._index, self._judge.codec, self._rhythm)
        self._turn, self._generation = None, -1
        self._announced = False

    def stop_place(self, place: Place) -> None:
        """Judge nothing there any more; its commands stay on their topic."""
        self._next.pop(place, None)
        self._parked.leave(place)
        self._give_up(lambda append: append.place == place)

    def _give_up(self, concerned: Callable[[Append], bool]) -> None:
        """Appends have nobody who sends them again: whoever asked is told."""
        given_up = [append for append in self._appends if concerned(append)]
        self._appends = deque(append for append in self._appends if not concerned(append))
        for append in given_up:
            append.on_done(not_owned(append.place))

    def unseen(self, generation: int) -> frozenset[str]:
        """Keys of events that this lane would write in `generation` if the log lacked them."""
        return self._repairs.keys() if generation == self._generation else frozenset()

    # ── input ────────────────────────────────────────────────────────────────────────────

    def take(self, generation: int, records: Iterable[CommandRecord]) -> None:
        """Queue commands that were fetched in `generation`."""
        if generation == self._generation and self._next:
            self._queue.extend(records)

    def take_internal(self, commands: Iterable[InternalCommand]) -> None:
        self._internal.extend(commands)

    def take_append(self, append: Append) -> None:
        if append.place in self._next:
            self._appends.append(append)
        else:
            append.on_done(not_owned(append.place))

    def wanted_ends(self) -> set[Place]:
        """The places whose true end somebody must look up, for parked commands."""
        return self._parked.wanted_ends()

    def on_end(self, place: Place, end: int) -> None:
        """The true end of a place, taken after `wanted_ends` named it."""
        self._parked.on_end(place, end)

    @property
    def waiting(self) -> bool:
        """Whether a later step may have something to do without new input."""
        if self._next and not self._announced:
            return True
        queues = self._queue, self._internal, self._appends, self._repairs
        return any(queues) or bool(len(self._parked))

    # ── a turn ───────────────────────────────────────────────────────────────────────────

    def step(self, now: datetime) -> Transaction | None:
        """Judge what is queued; `None` where there is nothing to commit."""
        assert self._turn is None, "the last transaction has no result yet"
        if not self._next:
            return None
        self._queue.extendleft(reversed(self._repairs.find()))
        turn = Turn(now, self._topics, self._judge.codec, self._judge.partitions, self._source)
        view = TurnView(turn, self._states, self._repairs.unseen, self._index)
        if not self._announced:
            # Whoever reads the group's offsets learns whom to ask, before anything is written.
            turn.offsets.update(self._next)
        self._repair(turn, view)
        if self._alone_next:
            self._judge_record(self._queue.popleft(), turn, view)
        else:
            self._judge_internal(turn, view)
            self._judge_appends(turn, view)
            self._judge_parked(turn, view)
            while self._queue and turn.takes_commands and not self._alone_next:
                self._judge_record(self._queue.popleft(), turn, view)
        if turn.empty:
            return None
        self._snapshots.add_to(turn, self._next)
        self._turn = turn
        return self._transaction(turn)

    def committed(self, ends: Mapping[Place, int]) -> Settled:
        """The transaction is committed; `ends` = reported offset of each place's last event."""
        turn = self._finish()
        self._announced = True
        self._states.update(turn.states)
        self._repairs.committed(turn, ends)
        self._snapshots.note(turn)
        self._next.update(turn.offsets)
        self._last_key.update(turn.last_keys())
        return turn.settled()

    def failed(self, error: TransactionError) -> Action:
        """The transaction failed; its inputs stand in the queue again where that makes sense."""
        turn = self._finish()
        action = action_for(error)
        # What was parked meanwhile came later than these: judged first, it would take the
        # partition's offset past them.
        self._queue = deque((*turn.commands, *self._parked.empty(), *self._queue))
        self._appends.extendleft(append for append, _ in reversed(turn.appends))
        self._internal.extendleft(reversed(turn.internal))
        self._repairs.failed(turn)
        if action is Action.REJOIN:
            self.close()
        return action

    # ── inside a turn ────────────────────────────────────────────────────────────────────

    @property
    def _alone_next(self) -> bool:
        return bool(self._queue) and self._watched.wants_alone(self._queue[0])

    def _finish(self) -> Turn:
        turn, self._turn = self._turn, None
        assert turn is not None, "a result without a transaction"
        return turn

    def _judge_record(self, record: CommandRecord, turn: Turn, view: TurnView) -> None:
        place = record.context, record.partition
        if place not in self._next:
            return
        behind = record.offset < turn.offsets.get(place, self._next[place])
        if behind and not self._repairs.concern(record):
            return
        if place in self._parked:
            self._parked.wait_behind(place, record)
            return
        verdict = self._watched.judge(record, view, turn.at, final=False)
        if isinstance(verdict, NeedsPipeline):
            needs = "pipeline", partition_of(verdict.pipeline_id, self._judge.partitions)
            self._parked.park(place, record, needs, turn.at)
            return
        self._apply(turn, record, verdict)

    def _apply(self, turn: Turn, record: CommandRecord, verdict: Verdict) -> None:
        if self._index.full and isinstance(verdict, Decided):
            # What cannot be indexed cannot be answered; this can be said, and tried again.
            what = "the disk of this aggregate's worker is full; free some space and try again"
            verdict = Rejected(self._judge.unavailable(record, what))
        place = record.context, record.partition
        turn.offsets.setdefault(place, self._next[place])
        turn.apply(record, verdict)

    def _judge_parked(self, turn: Turn, view: TurnView) -> None:
        for place, parked in self._parked:
            read_on = parked.end is not None and self._index.position(*parked.needs) >= parked.end
            verdict = self._watched.judge(parked.record, view, turn.at, final=read_on)
            if isinstance(verdict, NeedsPipeline):
                if turn.at - parked.since < MAX_PARKED:
                    continue
                what = "the pipelines could not be read to their end within 2 s; try again"
                verdict = Rejected(self._judge.unavailable(parked.record, what))
            self._parked.leave(place)
            self._apply(turn, parked.record, verdict)
            self._queue.extendleft(reversed(parked.behind))

    def _judge_internal(self, turn: Turn, view: TurnView) -> None:
        while self._internal and turn.takes_internal and not self._index.full:
            command = self._internal.popleft()
            offset = self._next.get((command.context, command.partition))
            if offset is None:
                continue
            try:
                verdict = self._judge.judge_internal(command, view, turn.at)
            except Damaged:
                raise
            except Exception as error:
                log.exception("internal_command_undecidable", command=repr(command))
                if isinstance(command.command, CompleteStep):
                    self._internal.appendleft(_failure(command, error))
                continue
            if isinstance(verdict, Decided) and verdict.events:
                turn.apply_internal(command, verdict, offset)
            else:
                # Judged on what this turn may fail to make true: then it comes again.
                turn.internal.append(command)

    def _judge_appends(self, turn: Turn, view: TurnView) -> None:
        while self._appends and turn.takes_internal and not self._index.full:
            append = self._appends.popleft()
            known = known_append(append, view)
            if known is not None:
                append.on_done(known)
                continue
            try:
                decided = judge_append(append, view, turn.at, self._judge.codec)
            except FlexCoreError as error:
                append.on_done(error)
                continue
            except Damaged:
                raise
            except Exception as error:
                append.on_done(Invalid("append.invalid", f"cannot be written: {error!r}"))
                continue
            turn.apply_append(append, decided, self._next[append.place])

    def _repair(self, turn: Turn, view: TurnView) -> None:
        for event, told in self._repairs.due():
            offset = self._next.get((event.context, event.partition))
            known = self._index.last_version(event.context, event.aggregate_id)
            if offset is None or known >= event.version:
                continue
            self.repaired += 1
            log.error("committed_event_missing", key=event.key.decode(), repaired=True)
            turn.repair(event, offset, told=told)
            # Of a transaction in doubt, nobody has taken this event into a state yet.
            context = CONTEXTS[event.context]
            version, state = view.state(context, event.aggregate_id)
            if version < event.version:
                after = context.decider.evolve(state, event.event)
                turn.states[event.context, event.aggregate_id] = event.version, after

    def _transaction(self, turn: Turn) -> Transaction:
        last = turn.last_keys()
        metadata = {}
        for place in turn.offsets:
            key = last.get(place, self._last_key.get(place, ""))
            metadata[place] = CommitMetadata(*self._writer, key).text()
        return Transaction(turn.writes, turn.offsets, metadata, self._group)


def _failure(command: InternalCommand, error: Exception) -> InternalCommand:
    """What is said of a step whose result cannot be taken."""
    done = command.command
    failed = FailStep(
        execution_id=done.execution_id,
        step_id=done.step_id,
        attempt=done.attempt,
        error_code="internal.undecidable",
        error_message=f"the step's result could not be taken: {error}"[:2_000],
        retryable=False,
    )
    return replace(command, command=failed)
