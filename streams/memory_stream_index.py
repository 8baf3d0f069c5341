"""The stream index in memory: dictionaries under one lock, filled from the topics at each start."""

from collections.abc import Iterator, Sequence
from threading import Lock

from streams.answers import Answer, answer_of
from streams.records import EventRecord, Identity
from streams.stream_index import WINDOW_MS

HOUR_MS = 60 * 60 * 1000


class MemoryStreamIndex:
    def __init__(self) -> None:
        self._lock = Lock()
        self._streams: dict[tuple[str, str], list[EventRecord]] = {}
        self._members: dict[tuple[str, int], set[str]] = {}
        self._positions: dict[tuple[str, int], int] = {}
        # Of accepted commands the last event is kept: the answer is made when it is asked for.
        self._hours: dict[int, set[Identity]] = {}
        self._answers: dict[Identity, tuple[int, Answer | EventRecord]] = {}

    def append(self, events: Sequence[EventRecord]) -> None:
        with self._lock:
            for event in events:
                stream = self._streams.setdefault((event.context, event.aggregate_id), [])
                assert event.version == len(stream) + 1, "the tailer hands over versions in order"
                stream.append(event)
                if event.version == 1:
                    members = self._members.setdefault((event.context, event.partition), set())
                    members.add(event.aggregate_id)
                self._know(event.identity, event.timestamp_ms, event)

    def remember(self, answer: Answer, at_ms: int) -> None:
        with self._lock:
            if answer.identity not in self._answers:
                self._know(answer.identity, at_ms, answer)

    def advance(self, context: str, partition: int, position: int) -> None:
        with self._lock:
            key = context, partition
            self._positions[key] = max(position, self._positions.get(key, 0))

    def position(self, context: str, partition: int) -> int:
        return self._positions.get((context, partition), 0)

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

    def answer(self, identity: Identity) -> Answer | None:
        found = self._answers.get(identity)
        if found is None:
            return None
        return answer_of(found[1]) if isinstance(found[1], EventRecord) else found[1]

    def aggregates(self, context: str, partition: int) -> Iterator[str]:
        with self._lock:
            return iter(tuple(self._members.get((context, partition), ())))

    def expire(self, now_ms: int) -> None:
        # By the hour: they were read partition by partition, so their order says nothing.
        last = (now_ms - WINDOW_MS) // HOUR_MS
        with self._lock:
            for hour in [hour for hour in self._hours if hour < last]:
                for identity in self._hours.pop(hour):
                    at_ms, _ = self._answers.get(identity, (0, None))
                    if at_ms // HOUR_MS <= hour:
                        self._answers.pop(identity, None)

    def _know(self, identity: Identity, at_ms: int, answer: Answer | EventRecord) -> None:
        self._answers[identity] = at_ms, answer
        self._hours.setdefault(at_ms // HOUR_MS, set()).add(identity)
