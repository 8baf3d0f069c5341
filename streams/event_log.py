"""All event topics as one blocking reader: partitions, merged by time.

assigned, read_committed ─► one buffer per partition ─► Merge ─► events in one order

Bounded by the true ends at the start, or live: then it goes on with what is visible, poll by poll.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    OffsetSpec,  # pyright: ignore[reportPrivateImportUsage] - documented there
)

from domain.contexts import CONTEXTS
from domain.errors import Invalid, Unavailable
from streams.broker_wait import REQUEST_S, is_away, until_answered
from streams.connection import Connection
from streams.event_store import Place, Selection
from streams.merge import Merge
from streams.read_event import read_event
from streams.records import EventRecord
from streams.times import first_ms
from streams.topics import Topics
from streams.true_ends import true_ends

log = structlog.get_logger("flexcore.log")

AWAY_S = 10.0
"""A broker that restarts is back within 3 s; a reader that waits for ever tells nobody."""
LONG = 4_000
"""Events of one place that may wait for the others: 10 MB; more, and it is not fetched from."""
SHORT = 1_000
"""Going on costs a fetch, since what was fetched ahead is dropped: not before so few are left."""
_CHUNK = 1_000
_BATCH = 500
_POLL_S = 0.1
_QUIET_S = 2.0
"""After so long without a record the broker is asked whether it is there."""


class EventLog:
    """Used by one thread at a time; what it does first may take 10 s. `close` it."""

    def __init__(
        self,
        connection: Connection,
        topics: Topics,
        selection: Selection,
        *,
        partitions: int,
        live: bool,
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._selection = selection
        self._live = live
        contexts = selection.contexts or CONTEXTS
        self._contexts = {topics.events(context): context for context in contexts}
        self._places = [(c, n) for c in self._contexts.values() for n in range(partitions)]
        self._merge = Merge(self._places)
        self._starts: dict[Place, int] = {}
        self._ends: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._heard = 0.0
        self._consumer: Consumer | None = None

    def __iter__(self) -> Iterator[EventRecord]:
        """The selected events. Raises Unavailable, Invalid."""
        while (chunk := self.chunk()) is not None:
            yield from filter(self._selection.takes, chunk)

    @property
    def starts(self) -> Mapping[Place, int]:
        """Where each place begins; empty before the first chunk."""
        return self._starts

    def chunk(self) -> Sequence[EventRecord] | None:
        """The next events in order, of all types: none if none came in 0.1 s, `None` at the end.

        Raises Unavailable where the broker stays away, Invalid for a position beyond the end.
        """
        if self._consumer is None:
            self._consumer = self._opened()
        taken = self._merge.take(_CHUNK)
        if not taken:
            if self._merge.at_end and not self._live:
                return None
            self._read(self._consumer)
            taken = self._merge.take(_CHUNK)
        self._go_on(self._consumer)
        return taken

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()

    # ── the start ────────────────────────────────────────────────────────────────────────

    def _opened(self) -> Consumer:
        deadline = time.monotonic() + AWAY_S
        # The ends before the beginnings: what is written between the two is behind both.
        self._ends = until_answered(self._look_up_ends, deadline)
        self._starts = until_answered(self._look_up_starts, deadline)
        consumer = Consumer(self._connection.client(**self._settings()))
        wanted = []
        for place in self._places:
            if self._starts[place] >= self._ends[place]:
                self._merge.end(place)
            if self._live or self._starts[place] < self._ends[place]:
                wanted.append(self._partition(place, self._starts[place]))
        consumer.assign(wanted)
        self._heard = time.monotonic()
        return consumer

    def _settings(self) -> dict[str, Any]:
        return {
            # librdkafka demands a group; none is joined and nothing is committed.
            "group_id": f"{self._topics.prefix}-reader",
            "enable_auto_commit": False,
            "isolation_level": "read_committed",
            "enable_partition_eof": True,
            "auto_offset_reset": "earliest",
            # Small pieces from every partition in turn: a merge cannot use much of one alone.
            # First event of 8 partitions after 0.13 s; 0.43 s with 128 KiB at the same rate.
            "queued_min_messages": 2_000,
            "fetch_message_max_bytes": 32 * 1024,
            "fetch_queue_backoff_ms": 5,
            # The end behind a transaction's marker is only told by an empty fetch.
            "fetch_wait_max_ms": 100 if self._live else 5,
        }

    def _look_up_ends(self) -> dict[Place, int]:
        ends = true_ends(self._connection, [(p.topic, p.partition) for p in self._all()])
        return {(self._contexts[topic], n): end for (topic, n), end in ends.items()}

    def _look_up_starts(self) -> dict[Place, int]:
        given, since = self._selection.position, self._selection.since
        named = {place: given[place] for place in self._places if place in given}
        for place, offset in named.items():
            if offset > self._ends[place]:
                raise Invalid(
                    "query.invalid",
                    f"position {offset} of {place[0]}/{place[1]} is beyond the end, "
                    f"{self._ends[place]}; it is of another log",
                )
        others = [place for place in self._places if place not in named]
        if since is None:
            return named | dict.fromkeys(others, 0)
        return named | self._first_since(others, first_ms(since))

    def _first_since(self, places: Sequence[Place], at_ms: int) -> dict[Place, int]:
        """The first offset of that time or later, the end where there is none."""
        # Kept by name: a client that nobody holds is destroyed, and its answers never come.
        admin = AdminClient(self._connection.client())
        # A lookup by read_committed would overlook what an open transaction has written.
        spec = OffsetSpec.for_timestamp(at_ms)
        asked: dict[TopicPartition, OffsetSpec] = {self._partition(p): spec for p in places}
        answers = admin.list_offsets(
            asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=REQUEST_S
        )
        found = {}
        for partition, answer in answers.items():
            place = self._contexts[partition.topic], partition.partition
            offset = int(answer.result().offset)
            found[place] = self._ends[place] if offset < 0 else offset
        return found

    def _all(self) -> list[TopicPartition]:
        return [self._partition(place) for place in self._places]

    def _partition(self, place: Place, offset: int = 0) -> TopicPartition:
        return TopicPartition(self._topics.events(place[0]), place[1], offset)

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def _read(self, consumer: Consumer) -> None:
        first = consumer.poll(_POLL_S)
        if first is None:
            self._check_broker(consumer)
            return
        self._heard = time.monotonic()
        found: dict[Place, list[EventRecord]] = {}
        reached: dict[Place, int] = {}
        # consume() waits for a full batch, so the first one is polled for.
        for message in (first, *consumer.consume(_BATCH, 0)):
            self._take(message, found, reached)
        for place, events in found.items():
            self._merge.add(place, events)
        for place, position in reached.items():
            if position >= self._ends[place]:
                self._merge.end(place)
        too_long = {p for p in found if self._merge.length(p) > LONG} - self._paused
        if too_long:
            consumer.pause([self._partition(place) for place in too_long])
            self._paused |= too_long

    def _take(
        self, message: Any, found: dict[Place, list[EventRecord]], reached: dict[Place, int]
    ) -> None:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            if error.fatal() or not is_away(error):
                raise Unavailable("broker.unavailable", f"Kafka refuses: {error.str()}")
            return
        place = self._contexts[message.topic()], message.partition()
        offset = message.offset()
        if error is not None:
            reached[place] = offset
            return
        reached[place] = offset + 1
        if self._live or offset < self._ends[place]:
            event = read_event(message, place[0])
            if event is not None:
                found.setdefault(place, []).append(event)

    def _go_on(self, consumer: Consumer) -> None:
        """Fetch again from places that have little left."""
        short = {place for place in self._paused if self._merge.length(place) < SHORT}
        if short:
            consumer.resume([self._partition(place) for place in short])
            self._paused -= short

    def _check_broker(self, consumer: Consumer) -> None:
        """Raises Unavailable where nothing was heard for 10 s, and asking brings nothing either."""
        quiet_s = time.monotonic() - self._heard
        if quiet_s < _QUIET_S:
            return
        try:
            consumer.list_topics(next(iter(self._contexts)), _QUIET_S)
        except KafkaException as error:
            if quiet_s > AWAY_S:
                raise Unavailable("broker.unavailable", f"Kafka is away: {error}") from error
        else:
            self._heard = time.monotonic()
