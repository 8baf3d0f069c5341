"""A worker without Kafka: the real lane, fence, index and tailer, driven by hand.

given a `Worker` over the `Kafka` model ── send, fetch, turn, read ──► answers, transactions, logs
"""

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from streams.answers import Answer, outcome_headers, outcome_value, read_outcome
from streams.due_snapshots import RHYTHM, Rhythm
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
from streams.kafka_tailer import read_back
from streams.lane import Lane
from streams.memory_stream_index import MemoryStreamIndex
from streams.records import EventRecord, event_record, header_map
from streams.snapshots import Snapshot, snapshot_read, snapshots_context
from streams.suspects import Suspects
from streams.tailer import Tailer, due
from streams.turn import Place, Settled, Transaction, Write
from streams.verdicts import CommandRecord
from tests.streams.kafka_model import PARTITIONS, TOPICS, Kafka, LogName, Open, Stored
from tests.streams.scripts import (
    CODEC,
    JUDGE,
    OUTCOMES,
    PLACES,
    activate,
    command_id,
    create,
    pipeline_at,
    record,
)

_NAMED = {name: topic for topic, name in read_back(TOPICS).items()}
READ = tuple((name, partition) for name in _NAMED for partition in range(PARTITIONS))
"""What is read back."""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that was given, as a client sees it."""

    identity: tuple[str, str, str]
    hash: str
    said: tuple[str, str, tuple[int, ...]]


def given_answers(kafka: Kafka) -> list[Given]:
    """Every answer on the outcomes topic: who was told what."""
    return [
        _given(tuple(stored.headers), stored.value or b"")
        for stored in kafka.committed(TOPICS.outcomes)
    ]


@cache
def _given(headers: tuple[tuple[str, bytes], ...], value: bytes) -> Given:
    answer = read_outcome(header_map(headers), value, CODEC)
    said = answer.status, answer.error_code, answer.versions
    who = answer.identity.context, answer.identity.aggregate_id, answer.identity.command_id
    return Given(who, answer.hash, said)


def running(*, active: bool = False, rhythm: Rhythm = RHYTHM) -> "Worker":
    """A worker of all places; `active` gives it pipeline_at(0), active (commands 90 and 91)."""
    worker = Worker(Kafka(), rhythm=rhythm).own()
    if active:
        worker.send(create(pipeline_at(0)), 90)
        worker.send(activate(pipeline_at(0)), 91)
        worker.work()
    return worker


class Worker:
    """Lane, fence, index and tailer of one slot, driven by hand; `member` is in the group."""

    def __init__(
        self,
        kafka: Kafka,
        slot: int = 0,
        rhythm: Rhythm = RHYTHM,
        suspects: Suspects | None = None,
    ) -> None:
        self.kafka = kafka
        self.id = f"w-{slot}"
        self.index = MemoryStreamIndex()
        self.tailer = Tailer(self.index)
        url = f"http://127.0.0.1:{8000 + slot}"
        self.lane = Lane(
            JUDGE,
            self.index,
            TOPICS,
            transactional_id=self.id,
            url=url,
            rhythm=rhythm,
            suspects=suspects,
        )
        self.generation = -1
        self.places: Collection[Place] = ()
        self.fetched: dict[Place, int] = {}
        self.fencing: Generator[Any, Any, Opening] | None = None
        self.asked: Any = None
        self.in_flight: Open | None = None
        self.settled: list[Settled] = []

    # ── ownership ────────────────────────────────────────────────────────────────────────

    def own(self, *places: Place) -> "Worker":
        """Join as the only member, fence and open: a running worker."""
        self.start_fence(self.kafka.rebalance({self.id}), places or PLACES)
        self._fence()
        opening = self.step()
        assert opening is not None, "an opened lane says at once who it is"
        self.commit(opening)
        return self

    def _fence(self) -> None:
        while self.fencing is not None:
            self.read()
            self.step_fence()

    def reopen(self) -> None:
        """New producers in the same generation, and the fence again."""
        self.start_fence(self.generation, self.places)
        self._fence()

    def start_fence(self, generation: int, places: Collection[Place]) -> None:
        if generation != self.generation:
            self.lane.close()
            self.tailer.disown()
        self.generation, self.places = generation, places
        self.kafka.initialize(self.id)
        self.fencing = fence(places, self.id, self.index, self.lane.unseen(generation))
        self.asked = next(self.fencing)

    def step_fence(self) -> None:
        """Do what the fence asks for, if it can be done now."""
        assert self.fencing is not None
        kafka, asked = self.kafka, self.asked
        result: Any = None
        match asked:
            case ReadGroup():
                metadata = {place: kafka.metadata(place) for place in asked.places}
                result = GroupSeen(metadata, kafka.members)
            case FenceSlots():
                for writer in asked.writers:
                    kafka.initialize(writer)
            case ReadStable():
                result = kafka.stable(asked.places)
            case ReadEnds():
                wanted = {*asked.places, *((OUTCOMES, p) for _, p in asked.places)}
                result = {place: kafka.end(log_of(place)) for place in wanted}
            case AwaitRead():
                if any(self.index.position(*place) < end for place, end in asked.ends.items()):
                    return
        try:
            self.asked = self.fencing.send(result)
        except StopIteration as done:
            self.fencing = None
            self._open(done.value)

    def _open(self, opening: Opening) -> None:
        assert not opening.broken, opening.broken
        if self.generation != self.lane._generation:
            self.fetched = dict(opening.offsets)
        starts = {place: self.kafka.answered.get(place, 0) for place in opening.offsets}
        reached = {place: max(self.index.position(*place), at) for place, at in starts.items()}
        self.tailer.own(reached)
        for place, start in starts.items():
            events = events_of(place, self.kafka.read(log_of(place), start)[0])
            self.answer([a for e in events if e.offset < reached[place] for a in due(e)])
        self.lane.open(self.generation, b"group", opening.offsets, opening.last_keys)

    # ── what a test asks for ─────────────────────────────────────────────────────────────

    def judged(self) -> Transaction:
        """The transaction for all that was sent; it has no result yet."""
        self.fetch()
        transaction = self.step()
        assert transaction is not None
        return transaction

    def said(self, number: int) -> list[str]:
        """What a command was told, in order; a repeated answer shows twice."""
        wanted = command_id(number)
        given = (a for a in given_answers(self.kafka) if a.identity[2] == wanted)
        return [a.said[1] or a.said[0] for a in given]

    def commit_judged(self, message: Any, number: int) -> Transaction:
        """The transaction for one more command, committed."""
        self.send(message, number)
        transaction = self.judged()
        self.commit(transaction)
        return transaction

    def events(self, context: str = "pipeline") -> list[bytes | None]:
        """The keys of all committed events."""
        return [stored.key for stored in self.kafka.committed(TOPICS.events(context))]

    # ── work ─────────────────────────────────────────────────────────────────────────────

    def send(self, message: Any, number: int = 1, **changes: Any) -> CommandRecord:
        """Put a command on its topic, as a client does."""
        sent = record(message, number, **changes)
        topic = TOPICS.commands(sent.context)
        self.kafka.append(Write(topic, sent.partition, sent.key, sent.value, sent.headers))
        return sent

    def fetch(self, place: Place | None = None, limit: int = 10_000) -> None:
        for one in self.fetched if place is None else (place,):
            name = TOPICS.commands(one[0]), one[1]
            records, self.fetched[one] = self.kafka.read(name, self.fetched[one], limit)
            self.lane.take(self.generation, [command_of(one, r) for r in records])

    def step(self) -> Transaction | None:
        return self.lane.step(self.kafka.now)

    def commit(self, transaction: Transaction) -> Settled:
        """The transaction succeeds."""
        opened = self.kafka.begin(self.id, transaction)
        assert self.kafka.send_offsets(opened, self.generation, self.id)
        self.kafka.finish(opened, commit=True)
        return self.succeed(opened)

    def succeed(self, opened: Open) -> Settled:
        self.in_flight = None
        settled = self.lane.committed(opened.ends)
        self.settled.append(settled)
        return settled

    def fail(self, name: str = "ANY", *, fatal: bool = False) -> Action:
        self.in_flight = None
        return self.lane.failed(TransactionError(name, fatal=fatal))

    def turn(self) -> Settled | None:
        """Fetch, judge and commit everything there is; `None` where nothing was to commit."""
        self.fetch()
        transaction = self.step()
        return None if transaction is None else self.commit(transaction)

    def read(self, place: Place | None = None, limit: int = 10_000) -> list[Answer]:
        """Read back; the answers that are due are given."""
        answers = []
        for one in READ if place is None else (place,):
            records, position = self.kafka.read(log_of(one), self.index.position(*one), limit)
            if one[0] == OUTCOMES:
                read = [
                    (read_outcome(header_map(r.headers), r.value or b"", CODEC), r.at_ms)
                    for r in records
                ]
                self.tailer.on_outcomes(read, one, position)
            elif one not in PLACES:
                self.tailer.on_snapshots(snapshots_of(one, records), one, position)
            else:
                answers += self.tailer.on_events(one, events_of(one, records), position)
        self.answer(answers)
        for one in self.lane.wanted_ends():
            self.lane.on_end(one, self.kafka.end(log_of(one)))
        return answers

    def answer(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            headers = outcome_headers(answer, self.kafka.now)
            value = outcome_value(answer, CODEC)
            key = answer.identity.command_id.encode()
            self.kafka.append(Write(TOPICS.outcomes, 0, key, value, headers))

    def work(self) -> list[Answer]:
        """Turn and read until nothing is left to do; the answers that were given on the way."""
        answers = []
        while True:
            settled = self.turn()
            answers += self.read()
            if settled is None and not self.lane.waiting:
                return answers
            if settled is None:
                self.kafka.wait(0.5)


def log_of(place: Place) -> LogName:
    return _NAMED[place[0]], place[1]


def snapshots_of(place: Place, records: Sequence[Stored]) -> list[Snapshot]:
    context = snapshots_context(place[0])
    return [snapshot_read(context, place[1], r.offset, r.key, r.value, r.headers) for r in records]


def command_of(place: Place, r: Stored) -> CommandRecord:
    return CommandRecord(*place, r.offset, r.at_ms, r.key, r.value, r.headers)


def events_of(place: Place, records: Sequence[Stored]) -> list[EventRecord]:
    return [
        event_record(*place, r.offset, r.at_ms, r.key or b"", r.value, r.headers) for r in records
    ]
