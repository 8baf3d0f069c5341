"""The stream index in memory: dictionaries under one lock, filled from the topics at each start."""

from collections.abc import Sequence
from threading import Lock

from streams.answers import Answer, answer_of
from streams.records import EventRecord, Identity
from streams.snapshots import Snapshot
from streams.stream_index import HOUR_MS, WINDOW_MS, activity


class MemoryStreamIndex:
    room = True
    full = False

    def __init__(self) -> None:
        self._lock = Lock()
        self._streams: dict[tuple[str, str], list[EventRecord]] = {}
        self._active: dict[int, set[str]] = {}
        self._snapshots: dict[tuple[str, str], Snapshot] = {}
        self._distrusted: set[tuple[str, str]] = set()
        self._positions: dict[tuple[str, int], int] = {}
        self._resumes: dict[tuple[str, int], int] = {}
        # Of accepted commands the last event's version is kept: the answer is made when asked for.
        self._hours: dict[int, set[Identity]] = {}
        self._answers: dict[Identity, tuple[int, Answer | int]] = {}
        self._floor = 0

    def append(self, events: Sequence[EventRecord]) -> None:
        with self._lock:
            for event in events:
                stream = self._streams.setdefault((event.context, event.aggregate_id), [])
                assert event.version == len(stream) + 1, "the tailer hands over versions in order"
                stream.append(event)
                self._show(event)
                self._know(event.identity, event.timestamp_ms, event.version)

    def replace(self, event: EventRecord) -> None:
        with self._lock:
            stream = self._streams[event.context, event.aggregate_id]
            stream[event.version - 1] = event
            if event.version == len(stream):
                self._show(event)

    def remember(self, answer: Answer, at_ms: int) -> None:
        with self._lock:
            if answer.identity not in self._answers:
                self._know(answer.identity, at_ms, answer)

    def keep(self, snapshot: Snapshot) -> None:
        key = snapshot.context, snapshot.aggregate_id
        with self._lock:
            self._snapshots.pop(key, None)
            if snapshot.value is not None and key not in self._distrusted:
                self._snapshots[key] = snapshot

    def distrust(self, context: str, aggregate_id: str) -> None:
        with self._lock:
            self._distrusted.add((context, aggregate_id))
            self._snapshots.pop((context, aggregate_id), None)

    def advance(
        self, context: str, partition: int, position: int, resume: int | None = None
    ) -> None:
        with self._lock:
            key = context, partition
            if position >= self._positions.get(key, 0):
                self._positions[key] = position
                self._resumes[key] = position if resume is None else resume

    def position(self, context: str, partition: int) -> int:
        return self._positions.get((context, partition), 0)

    def resume(self, context: str, partition: int) -> int:
        return self._resumes.get((context, partition), 0)

    def last_version(self, context: str, aggregate_id: str) -> int:
        return len(self._streams.get((context, aggregate_id), ()))

    def event(self, context: str, aggregate_id: str, version: int) -> EventRecord | None:
        stream = self._streams.get((context, aggregate_id), ())
        return stream[version - 1] if 0 < version <= len(stream) else None

    def events(
        self, context: str, aggregate_id: str, from_version: int = 1, limit: int | None = None
    ) -> Sequence[EventRecord]:
        first = max(from_version, 1) - 1
        last = None if limit is None else first + limit
        return self._streams.get((context, aggregate_id), [])[first:last]

    def snapshot(self, context: str, aggregate_id: str) -> Snapshot | None:
        return self._snapshots.get((context, aggregate_id))

    def distrusted(self, context: str, aggregate_id: str) -> bool:
        return (context, aggregate_id) in self._distrusted

    def answer(self, identity: Identity) -> Answer | None:
        _, found = self._answers.get(identity, (0, None))
        if not isinstance(found, int):
            return found
        last = self.event(identity.context, identity.aggregate_id, found)
        return None if last is None else answer_of(last)

    def active(self, partition: int) -> Sequence[str]:
        with self._lock:
            return sorted(self._active.get(partition, ()))

    def aggregates(self, context: str, partition: int) -> Sequence[str]:
        with self._lock:
            streams = self._streams.items()
            return [
                i for (c, i), found in streams if c == context and found[0].partition == partition
            ]

    def expire(self, now_ms: int) -> None:
        # By the hour: they were read partition by partition, so their order says nothing.
        with self._lock:
            self._floor = max((now_ms - WINDOW_MS) // HOUR_MS, self._floor)
            for hour in [hour for hour in self._hours if hour < self._floor]:
                for identity in self._hours.pop(hour):
                    at_ms, _ = self._answers.get(identity, (0, None))
                    if at_ms // HOUR_MS <= hour:
                        self._answers.pop(identity, None)

    def _show(self, last: EventRecord) -> None:
        active = activity(last)
        if active:
            self._active.setdefault(last.partition, set()).add(last.aggregate_id)
        elif active is False:
            self._active.setdefault(last.partition, set()).discard(last.aggregate_id)

    def _know(self, identity: Identity, at_ms: int, answer: Answer | int) -> None:
        if at_ms // HOUR_MS < self._floor:
            return
        self._answers[identity] = at_ms, answer
        self._hours.setdefault(at_ms // HOUR_MS, set()).add(identity)
