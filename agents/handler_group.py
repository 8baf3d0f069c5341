"""A handler's consumer group: which partitions are ours, what they hold, and what is committed.

    broker ─► `poll` ─► records in order, by partition
    assigned: from a little before the committed offset, the first time before the end (or from the
              start) ─► `on_assigned` is told where what is new begins
    revoked:  `on_revoked` says up to where all is handled ─► committed ─► given up

Partitions move one by one (cooperative): those that stay with us are not interrupted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from agents.handler_place import LOOK_BACK, Waiting
from agents.handlers import Handler
from domain.errors import Unreadable
from schemas import catalogue
from schemas.codec import Codec
from streams.connection import Connection
from streams.read_event import read_event
from streams.topics import Topics, parse_event_key, partition_of
from streams.true_ends import stable_ends

log = structlog.get_logger("flexcore.handlers")

ASK_S = 10.0
BATCH = 200
"""Between two looks at what else there is to do; 1 ms of it."""
POLL_S = 0.2
POLL_PAUSED_S = 0.02
"""Where something waits for room, it is looked for more often."""
MOST_QUIET_S = 60.0
"""A handler that blocks its loop for so long loses its partitions to another worker."""

TP = tuple[str, int]
"""(topic, partition)."""


class Read(NamedTuple):
    """A record: `waiting` is `None` where the handler did not ask for it, `key` where it is no event.

    `offset` is the next one to read where the end was reached and there is no record at all.
    """

    tp: TP
    offset: int
    key: tuple[str, int] | None
    waiting: Waiting | None = None
    end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the events come from; one for all handlers of a worker."""

    connection: Connection
    topics: Topics
    codec: Codec
    partitions: int
    session_timeout_s: float
    client_id: str


class HandlerGroup:
    """A member of the group. The two callbacks come from inside `poll` and `close`, in their thread."""

    def __init__(
        self,
        handler: Handler,
        source: Source,
        *,
        on_assigned: Callable[[Mapping[TP, int]], None],
        on_revoked: Callable[[Sequence[TP], bool], Mapping[TP, int]],
    ) -> None:
        """`on_revoked(places, lost)` gives what to commit; of places that are `lost`, nothing is."""
        self._handler = handler
        self._source = source
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._contexts = {source.topics.events(name): name for name in handler.contexts}
        self._wanted = frozenset(catalogue.full_names()[cls] for cls in handler.types)
        self._committed: dict[TP, int] = {}
        self._paused: set[TP] = set()
        self._failed: list[BaseException] = []
        # A callback of the library in Python, whose name stays as it is.
        settings = source.connection.client(**self._settings()) | {"on_commit": _tell_failed}
        self._consumer: Any = Consumer(settings)
        self._consumer.subscribe(
            list(self._contexts),
            on_assign=self._assigned,
            on_revoke=lambda _, found: self._revoked(found, lost=False),
            on_lost=lambda _, found: self._revoked(found, lost=True),
        )

    @property
    def name(self) -> str:
        return self._source.topics.handler_group(self._handler.name)

    def _settings(self) -> dict[str, Any]:
        session_ms = int(self._source.session_timeout_s * 1000)
        return {
            "group_id": self.name,
            "client_id": self._source.client_id,
            "isolation_level": "read_committed",
            "enable_auto_commit": False,
            # Of topics that were made anew; where we are the first, `_assigned` says where to begin.
            "auto_offset_reset": "earliest",
            "partition_assignment_strategy": "cooperative-sticky",
            "session_timeout_ms": session_ms,
            "heartbeat_interval_ms": max(session_ms // 5, 100),
            "max_poll_interval_ms": max(int(MOST_QUIET_S * 1000), session_ms),
            # The end behind a transaction's marker is only told so.
            "enable_partition_eof": True,
            "queued_min_messages": 1_000,
            "queued_max_messages_kbytes": 4_096,
            "fetch_message_max_bytes": 1024 * 1024,
            "fetch_queue_backoff_ms": 5,
        }

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def poll(self) -> list[Read]:
        """What came, after 0.2 s nothing. Raises KafkaException, Unavailable."""
        first = self._consumer.poll(POLL_PAUSED_S if self._paused else POLL_S)
        self._raise_failed()
        if first is None:
            return []
        # consume() waits for a full batch, so the first one is polled for.
        messages = (first, *self._consumer.consume(BATCH, 0))
        self._raise_failed()
        return list(self._read(messages))

    def _raise_failed(self) -> None:
        """What was raised in a callback, where librdkafka would swallow it."""
        if self._failed:
            raise self._failed.pop()

    def _read(self, messages: Sequence[Any]) -> Iterator[Read]:
        for message in messages:
            error = message.error()
            if error is None:
                yield self._event(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                tp = message.topic(), message.partition()
                yield Read(tp, message.offset(), None, end=True)
            elif error.fatal():
                raise KafkaException(error)
            else:
                log.warning("handler_group_error", group=self.name, what=error.str())

    def _event(self, message: Any) -> Read:
        tp: TP = message.topic(), message.partition()
        place = tp, message.offset()
        try:
            key = parse_event_key(message.key() or b"")
        except ValueError:
            return Read(*place, None)
        if partition_of(key[0], self._source.partitions) != tp[1]:
            return Read(*place, None)
        # The rest is read of what was asked for alone: the headers are most of the work.
        record = (
            read_event(message, self._contexts[tp[0]]) if self._asked(message.value()) else None
        )
        return Read(*place, key, None if record is None else Waiting(record, message))

    def _asked(self, value: bytes | None) -> bool:
        if value is None:
            return False
        try:
            return self._source.codec.name_of(value) in self._wanted
        except Unreadable:
            # The projector buries it; that it has its version is all that counts here.
            return False

    # ── what the loop decides, between two polls ─────────────────────────────────────────

    def pause(self, places: Sequence[TP]) -> None:
        """Fetch nothing more of these."""
        if places:
            self._consumer.pause([TopicPartition(*tp) for tp in places])
            self._paused.update(places)

    def resume(self, places: Sequence[TP]) -> None:
        if places:
            self._consumer.resume([TopicPartition(*tp) for tp in places])
            self._paused.difference_update(places)

    @property
    def paused(self) -> frozenset[TP]:
        return frozenset(self._paused)

    def commit(self, done: Mapping[TP, int]) -> None:
        """Keep up to where all is handled; not waited for, as a later one says it again."""
        moved = {tp: at for tp, at in done.items() if at > self._committed.get(tp, -1)}
        if moved:
            self._consumer.commit(offsets=_offsets(moved), asynchronous=True)
            self._committed |= moved

    def behind(self, done: Mapping[TP, int]) -> int:
        """How many offsets are not handled yet, as far as the broker told."""
        total = 0
        for tp, at in done.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*tp), cached=True)
            total += max(high - at, 0)
        return total

    def close(self) -> None:
        """Give everything back."""
        self._consumer.close()

    # ── callbacks ────────────────────────────────────────────────────────────────────────

    def _assigned(self, consumer: Any, partitions: Sequence[TopicPartition]) -> None:
        try:
            starts = self._starts(partitions)
            self._committed |= starts
            self._on_assigned(starts)
            before = {tp: max(at - LOOK_BACK, 0) for tp, at in starts.items()}
            consumer.incremental_assign(_offsets(before))
        except Exception as error:
            self._failed.append(error)

    def _starts(self, partitions: Sequence[TopicPartition]) -> dict[TP, int]:
        """Where to read on. Raises KafkaException."""
        found = self._consumer.committed(list(partitions), ASK_S)
        for one in found:
            if one.error is not None:
                raise KafkaException(one.error)
        starts: dict[TP, int] = {(p.topic, p.partition): p.offset for p in found}
        new = [tp for tp, offset in starts.items() if offset < 0]
        if new:
            first = dict.fromkeys(new, 0)
            if not self._handler.from_start:
                first = stable_ends(self._source.connection, new)
            # At once: what comes before the first commit would be behind the end of the next start.
            self._consumer.commit(offsets=_offsets(first), asynchronous=False)
            starts |= first
        return starts

    def _revoked(self, partitions: Sequence[TopicPartition], *, lost: bool) -> None:
        places = [(p.topic, p.partition) for p in partitions]
        done = self._on_revoked(places, lost)
        self._paused.difference_update(places)
        moved = {tp: at for tp, at in done.items() if at > self._committed.get(tp, -1)}
        for tp in places:
            self._committed.pop(tp, None)
        if moved and not lost:
            try:
                self._consumer.commit(offsets=_offsets(moved), asynchronous=False)
            except KafkaException as error:
                # The next owner handles again what was handled: at least once.
                log.warning("handler_not_committed", group=self.name, what=str(error))


def _offsets(places: Mapping[TP, int]) -> list[TopicPartition]:
    return [TopicPartition(*tp, at) for tp, at in places.items()]


def _tell_failed(error: KafkaError | None, _: Any) -> None:
    if error is not None and error.code() != KafkaError._NO_OFFSET:
        log.warning("handler_not_committed", what=error.str())
