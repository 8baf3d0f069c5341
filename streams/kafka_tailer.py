"""Feeds the tailer from Kafka and writes the answers it gives: one thread, one consumer.

The consumer is assigned the event topics and the outcomes, all partitions or those that the worker
follows: it can take them over by reading their tail and can show any aggregate of theirs.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from domain.contexts import CONTEXTS
from domain.errors import Unreadable
from schemas.codec import Codec
from schemas.outcome import Outcome
from streams.answers import Answer, read_outcome
from streams.connection import Connection
from streams.exit_codes import EXIT_INTERNAL
from streams.failpoints import Failpoint, reached
from streams.following import Following
from streams.kafka_answers import KafkaAnswers
from streams.read_event import read_event
from streams.records import EventRecord, header_map
from streams.snapshots import Snapshot, snapshot_read, snapshots_context, snapshots_place
from streams.stream_index import OUTCOMES
from streams.tailer import Tailer, due
from streams.topics import Topics
from streams.turn import Place

log = structlog.get_logger("flexcore.tailer")

BATCH = 2_000


def read_back(topics: Topics) -> dict[str, str]:
    """The topics that an index is made of, each with its name in positions."""
    events = {topics.events(context): context for context in CONTEXTS}
    snapshots = {topics.snapshots(context): snapshots_place(context) for context in CONTEXTS}
    return {**events, **snapshots, topics.outcomes: OUTCOMES}


class KafkaTailer(threading.Thread):
    """`start()` begins to fill the index; `own` turns answering on for some places."""

    def __init__(
        self,
        connection: Connection,
        topics: Topics,
        codec: Codec,
        tailer: Tailer,
        *,
        partitions: int,
        answers: KafkaAnswers,
        following: Following,
        ends: Callable[[Mapping[Place, str]], Mapping[Place, int]],
    ) -> None:
        super().__init__(name="tailer", daemon=True)
        self._connection = connection
        self._topics = topics
        self._codec = codec
        self._tailer = tailer
        self._partitions = partitions
        self._answers = answers
        self._ends = ends
        self._following = following
        self._read_to: dict[Place, int] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._advanced = threading.Condition()
        self._places = read_back(topics)
        self._answered: dict[Place, int] = {}
        self._again: set[Place] = set()

    def topic(self, place: Place) -> str:
        """The topic whose partition a place of the index stands for."""
        return next(topic for topic, name in self._places.items() if name == place[0])

    # ── ownership, from the fence's thread ───────────────────────────────────────────────

    def own(self, places: Iterable[Place], position: Callable[[Place], int]) -> None:
        """Answer what these places hold since the last answered offset, then go on live."""
        wanted = list(places)
        answered = self._answers.answered([(self.topic(place), place[1]) for place in wanted])
        starts = dict(zip(wanted, answered, strict=True))
        with self._lock:
            reached = {place: max(position(place), starts[place]) for place in wanted}
            self._tailer.own(reached)
            self._answered = dict(reached)
            self._again = {place for place in wanted if starts[place] < reached[place]}
        for place in tuple(self._again):
            if self._answer_again(place, starts[place], reached[place]):
                self._again.discard(place)

    def disown(self) -> None:
        with self._lock:
            self._tailer.disown()
            self._answered, self._again = {}, set()

    def lacking(self, place: Place) -> str:
        """The key of an event that a place's log lacks, as far as it is read; empty if it is whole."""
        return self._tailer.lacking(place)

    def gaps(self) -> dict[Place, str]:
        """Of each place with a confirmed gap, the key of one event that is missing."""
        return self._tailer.gaps()

    def wait_read(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `reached()` after some reading; false where time is up."""
        with self._advanced:
            return self._advanced.wait_for(reached, timeout_s)

    def _answer_again(self, place: Place, start: int, end: int) -> bool:
        """Read [start, end) of a place once more and answer it: its owner died before it could.

        False where this worker is stopped meanwhile; the next one then begins at `start` as well.
        """
        consumer = self._consumer(f"{self._topics.answers_group}-again")
        consumer.assign([TopicPartition(self.topic(place), place[1], start)])
        try:
            at = start
            while at < end and not self._stopping.is_set():
                events, at = self._read(consumer, at)
                answers = [a for event in events if event.offset < end for a in due(event)]
                with self._lock:
                    self._answers.produce(answers)
        finally:
            consumer.close()
        return at >= end

    def _read(self, consumer: Consumer, at: int) -> tuple[list[EventRecord], int]:
        events = []
        first = consumer.poll(1.0)
        # consume() waits for a full batch: a second for each partition that has less to answer.
        for message in [] if first is None else [first, *consumer.consume(BATCH, 0)]:
            error = message.error()
            if error is None:
                event = read_event(message, self._places[message.topic() or ""])
                if event is not None:
                    events.append(event)
                at = (message.offset() or 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                at = message.offset() or 0
            else:
                raise KafkaException(error)
        return events, at

    # ── the thread ───────────────────────────────────────────────────────────────────────

    def stop(self) -> None:
        """Stop reading and commit what is answered."""
        self._stopping.set()
        self.join(10)
        self._answers.flush()
        self._commit_answered()
        self._answers.close()

    def run(self) -> None:
        try:
            self._run()
        except Exception:
            # Without the tailer nothing is answered: better a restart than silence.
            log.exception("tailer_died")
            os._exit(EXIT_INTERNAL)

    def _run(self) -> None:
        consumer = self._consumer(f"{self._topics.answers_group}-tail")
        quiet_s = 0.2
        followed: frozenset[int] | None = None
        last_commit = datetime.now(UTC)
        while not self._stopping.is_set():
            if followed is not (wanted := self._following.numbers):
                self._follow(consumer)
                followed = wanted
            if not self._tailer.room:
                self._stopping.wait(0.02)
            elif (first := consumer.poll(quiet_s)) is not None:
                self._take([first, *consumer.consume(BATCH, 0)])
            self._answers.poll()
            self._look_up_ends()
            now = datetime.now(UTC)
            if (now - last_commit).total_seconds() > 1.0:
                self._commit_answered()
                last_commit = now
        consumer.close()

    def _follow(self, consumer: Consumer) -> None:
        """Read on where each place was left; what it held back is still in memory then."""
        places = [(c, n) for c in self._places.values() for n in range(self._partitions)]
        starts = {
            place: self._read_to.get(place, self._tailer.resume(place))
            for place in places
            if place in self._following
        }
        consumer.assign(
            [TopicPartition(self.topic(place), place[1], at) for place, at in starts.items()]
        )

    def _consumer(self, group: str) -> Consumer:
        return Consumer(
            self._connection.client(
                group_id=group,
                isolation_level="read_committed",
                enable_auto_commit=False,
                enable_partition_eof=True,
                auto_offset_reset="earliest",
                # The end behind a transaction's marker is only told by an empty fetch.
                fetch_wait_max_ms=20,
                # The default of 1000 pauses a fetch whose queue is full for a second.
                fetch_queue_backoff_ms=5,
                queued_min_messages=20_000,
                queued_max_messages_kbytes=16_384,
            )
        )

    def _take(self, messages: Sequence[Any]) -> None:
        read: dict[Place, list[Any]] = {}
        positions: dict[Place, int] = {}
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                if error.fatal() or not error.retriable():
                    log.warning("tailer_error", code=error.name(), what=error.str())
                continue
            place = self._places[message.topic()], message.partition()
            if error is None:
                read.setdefault(place, []).append(message)
                positions[place] = message.offset() + 1
            else:
                positions[place] = message.offset()
        with self._lock:
            due_now = [
                answer
                for place, position in positions.items()
                for answer in self._feed(place, read.get(place, ()), position)
            ]
            # All together: what each partition has to answer alone costs the broker a request each.
            self._answers.produce(due_now)
            self._read_to |= positions
        with self._advanced:
            self._advanced.notify_all()

    def _feed(self, place: Place, messages: Sequence[Any], position: int) -> Sequence[Answer]:
        if place[0] == OUTCOMES:
            self._tailer.on_outcomes(self._outcomes(messages), place, position)
            return ()
        if place[0] not in CONTEXTS:
            self._tailer.on_snapshots(list(_snapshots(messages, place[0])), place, position)
            return ()
        events = [event for m in messages if (event := read_event(m, place[0])) is not None]
        reached(Failpoint.TAILER_BEFORE_INDEX)
        answers = self._tailer.on_events(place, events, position)
        if self._tailer.owns(place):
            # What waits for its predecessor is answered when that comes, by whoever is here then.
            self._answered[place] = self._tailer.resume(place)
        return answers

    def _outcomes(self, messages: Sequence[Any]) -> list[tuple[Answer, int]]:
        found = []
        for message in messages:
            value = message.value() or b""
            try:
                outcome = self._codec.decode(value)
                if isinstance(outcome, Outcome) and outcome.versions:
                    # Its events tell the same, and most outcomes are of this kind.
                    continue
                answer = read_outcome(header_map(message.headers()), value, self._codec)
            except Unreadable as error:
                log.warning("foreign_outcome", offset=message.offset(), what=str(error))
                continue
            found.append((answer, message.timestamp()[1]))
        return found

    def _look_up_ends(self) -> None:
        wanted = self._tailer.wanted_ends()
        if not wanted:
            return
        try:
            for place, end in self._ends({place: self.topic(place) for place in wanted}).items():
                self._tailer.on_end(place, end)
        except KafkaException as error:
            log.warning("ends_not_known", what=str(error))

    def _commit_answered(self) -> None:
        """Commit how far is answered, but never past an answer that is still on its way."""
        with self._lock:
            if self._answers.pending:
                return
            answered = {
                (self.topic(place), place[1]): offset
                for place, offset in self._answered.items()
                if place not in self._again
            }
        self._answers.commit(answered)


def _snapshots(messages: Sequence[Any], name: str) -> Iterator[Snapshot]:
    context = snapshots_context(name)
    for m in messages:
        try:
            yield snapshot_read(context, m.partition(), m.offset(), m.key(), m.value(), m.headers())
        except ValueError as error:
            log.warning("foreign_snapshot", place=name, offset=m.offset(), what=str(error))
