"""An event store in memory, for tests and for trying things out."""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any
from weakref import WeakSet

from domain.contexts import CONTEXTS, Context
from domain.errors import FlexCoreError, Invalid
from domain.pipeline.pipeline import Pipeline
from schemas.codec import Codec
from streams.answers import Answer
from streams.appends import Append, judge_append, known_append, new_append
from streams.event_store import Appended, Part, Place, Selection
from streams.memory_event_feed import MemoryEventFeed
from streams.memory_stream_index import MemoryStreamIndex
from streams.positions import position_text
from streams.records import EventRecord, Identity, header_map
from streams.slices import IndexReads
from streams.states import States
from streams.times import begun_ms
from streams.verdicts import NewEvent

PARTITIONS = 8


def utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryEventStore(IndexReads):
    """Keeps the rules of the log: versions are 1 … n, a version that is there is not replaced.

    Used in one event loop. `now` stands for the broker's clock.
    """

    def __init__(self, codec: Codec, *, now: Callable[[], datetime] = utc_now) -> None:
        self._codec = codec
        self._now = now
        self._index = MemoryStreamIndex()
        self._partitions = PARTITIONS
        self._view = _View(self._index, codec)
        self._log: dict[Place, list[EventRecord]] = {
            (context, n): [] for context in CONTEXTS for n in range(PARTITIONS)
        }
        self._offsets = count()
        self._followers: WeakSet[asyncio.Event] = WeakSet()

    def next_offset(self) -> int:
        """Where the next event will stand; all partitions share one count."""
        return next(self._offsets)

    def version(self, context: str, aggregate_id: str) -> int:
        """The version of the last event, 0 where there is none."""
        return self._index.last_version(context, aggregate_id)

    def state(self, context: Context, aggregate_id: str) -> tuple[int, Any]:
        """(version, state) after an aggregate's events."""
        return self._view.state(context, aggregate_id)

    def everything(self) -> Mapping[tuple[str, str], Sequence[EventRecord]]:
        """All events by (context, aggregate id)."""
        found: dict[tuple[str, str], list[EventRecord]] = {}
        for events in self._log.values():
            for event in events:
                found.setdefault((event.context, event.aggregate_id), []).append(event)
        return found

    def take(self, events: Iterable[EventRecord]) -> None:
        """Append records, each with the next version of its aggregate. Raises ValueError."""
        for event in events:
            known = self.version(event.context, event.aggregate_id)
            if event.version != known + 1:
                raise ValueError(f"{event.aggregate_id} is at {known}, not {event.version}")
            self._index.append([event])
            self._index.advance(event.context, event.partition, event.offset + 1)
            self._log[event.context, event.partition].append(event)
        for follower in self._followers:
            follower.set()

    def read_all(self, selection: Selection, *, live: bool = False) -> MemoryEventFeed:
        grown = asyncio.Event() if live else None
        if grown is not None:
            self._followers.add(grown)
        return MemoryEventFeed(self._log, selection, grown)

    async def append(
        self, context: str, parts: Sequence[Part], *, append_id: uuid.UUID
    ) -> Appended:
        append = new_append(context, parts, append_id, PARTITIONS, lambda _: None)
        answers = known_append(append, self._view) or self._written(append)
        versions = {name: answer.versions for name, answer in answers.items()}
        last = [self._index.event(context, name, made[-1]) for name, made in versions.items()]
        offsets = [event.offset for event in last if event is not None]
        position = position_text({append.place: max(offsets)}) if offsets else ""
        return Appended(versions, position)

    def _written(self, append: Append) -> Mapping[str, Answer]:
        at = self._now()
        try:
            decided = judge_append(append, self._view, at, self._codec)
        except FlexCoreError:
            raise
        except Exception as error:
            raise Invalid("append.invalid", f"cannot be written: {error!r}") from error
        self.take(self._record(new, at) for one in decided for new in one.events)
        return {one.answer.identity.aggregate_id: one.answer for one in decided}

    def _record(self, new: NewEvent, at: datetime) -> EventRecord:
        return EventRecord(
            context=new.context,
            aggregate_id=new.aggregate_id,
            version=new.version,
            partition=new.partition,
            offset=self.next_offset(),
            timestamp_ms=begun_ms(at),
            value=new.value,
            headers=header_map(new.headers),
        )


class _View:
    """What a judge sees of the store."""

    def __init__(self, index: MemoryStreamIndex, codec: Codec) -> None:
        self._index = index
        self._states = States(index, codec)

    def answer(self, identity: Identity) -> Answer | None:
        return self._index.answer(identity)

    def state(self, context: Context, aggregate_id: str) -> tuple[int, Any]:
        return self._states.get(context, aggregate_id)

    def pipeline(self, pipeline_id: str) -> Pipeline | None:
        _, state = self.state(CONTEXTS["pipeline"], pipeline_id)
        return state if isinstance(state, Pipeline) else None
