"""When snapshots are written: a little later than their events, and many in one transaction.

commit ──► note ──► waits for its event to be read back and for the pause ──► a turn's transaction

A transaction that touches the eight partitions of a snapshot topic as well takes half as long again
(measured, 1,000 events), so most transactions hold none. What waits is lost with its worker, or with
a transaction that fails: the aggregate's next multiple makes up for it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from schemas import catalogue
from schemas.codec import Codec
from streams.records import EventRecord
from streams.snapshots import MAX_BYTES_PER_TURN, snapshot_headers
from streams.stream_index import StreamIndex, is_end
from streams.turn import Place, Turn, Write
from streams.verdicts import NewEvent

log = structlog.get_logger("flexcore.lane")

MAX_WAITING = 1_000
"""Of 5,000 events/s 250 states wait for 5 s; they stand in the lane's cache as well."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A snapshot every so many `events` of an aggregate, written after a `pause`.

    Folding 100 events takes 1.5 ms, 10,000 of a run with 1,000 steps 180 ms.
    """

    events: int = 100
    pause: timedelta = timedelta(seconds=5)


RHYTHM = Rhythm()


class DueSnapshots:
    """Used by the lane's thread alone, for places that it owns."""

    def __init__(self, index: StreamIndex, codec: Codec, rhythm: Rhythm) -> None:
        self._index = index
        self._codec = codec
        self._rhythm = rhythm
        self._waiting: dict[tuple[str, str], tuple[NewEvent, Any]] = {}
        self._not_before = datetime.min.replace(tzinfo=UTC)

    def note(self, turn: Turn) -> None:
        """Take the states of those that a commit led past a multiple, or to their end.

        A short run has none at its end: to fold its events costs less than another record.
        """
        due = {(e.context, e.aggregate_id): None for e in turn.events if self._is_due(e)}
        if not due:
            return
        last = {(event.context, event.aggregate_id): event for event in turn.events}
        for key in due:
            version, state = turn.states.get(key, (0, None))
            # Of an event that was only written again, the lane may know later states.
            if version == last[key].version:
                self._waiting.pop(key, None)
                self._waiting[key] = last[key], state
        for key in list(self._waiting)[:-MAX_WAITING]:
            del self._waiting[key]

    def _is_due(self, event: NewEvent) -> bool:
        if event.version % self._rhythm.events == 0:
            return True
        long = event.version > self._rhythm.events
        return long and is_end(catalogue.full_names()[type(event.event)])

    def add_to(self, turn: Turn, offsets: dict[Place, int]) -> None:
        """Write those whose events stand in the log; `offsets` are the owned places' next ones."""
        if not self._waiting or turn.at < self._not_before:
            return
        self._not_before = turn.at + self._rhythm.pause
        left = MAX_BYTES_PER_TURN
        for key, (new, state) in list(self._waiting.items()):
            event = self._seen(new)
            if event is None:
                continue
            del self._waiting[key]
            place = event.context, event.partition
            if place not in offsets or self._index.distrusted(*key):
                continue
            write = self._write(turn, event, state)
            if write is not None and len(write.value or b"") <= left:
                left -= len(write.value or b"")
                turn.snapshot(write, place, offsets[place])

    def _seen(self, new: NewEvent) -> EventRecord | None:
        return self._index.event(new.context, new.aggregate_id, new.version)

    def _write(self, turn: Turn, event: EventRecord, state: Any) -> Write | None:
        try:
            value = self._codec.encode(state)
            headers = snapshot_headers(event, state, turn.at, turn.source)
        except Exception:
            # A turn must not fail for what nobody needs.
            log.exception("snapshot_not_written", key=f"{event.aggregate_id}#{event.version}")
            return None
        topic, key = turn.topics.snapshots(event.context), event.aggregate_id.encode()
        return Write(topic, event.partition, key, value, headers)
