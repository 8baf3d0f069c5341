"""The event store of a worker: appends through its lane, reads its index, all events from Kafka.

append ──► lane's next transaction ──► committed ──► read back into the index ──► Appended
"""

import asyncio
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime

from domain.errors import FlexCoreError, Invalid, Unavailable
from streams.appends import Append, Result, checked, not_owned
from streams.event_store import (
    MAX_READ,
    Appended,
    EventFeed,
    EventReader,
    Part,
    Selection,
    Slice,
)
from streams.kafka_lane import KafkaLane
from streams.kafka_tailer import KafkaTailer
from streams.positions import position_text
from streams.stream_index import StreamIndex
from streams.topics import partition_of

APPEND_WITHIN_S = 10.0
"""A commit takes milliseconds, a hand-over to another worker at most this."""


class LaneEventStore:
    """Writes what its worker owns; reads whatever `reader` reads."""

    def __init__(
        self,
        lane: KafkaLane,
        index: StreamIndex,
        tailer: KafkaTailer,
        reader: EventReader,
        *,
        partitions: int,
    ) -> None:
        self._lane = lane
        self._index = index
        self._tailer = tailer
        self._reader = reader
        self._partitions = partitions

    async def read(
        self,
        context: str,
        aggregate_id: str,
        from_version: int = 1,
        limit: int = MAX_READ,
        *,
        to_version: int | None = None,
        at: datetime | None = None,
    ) -> Slice:
        return await self._reader.read(
            context, aggregate_id, from_version, limit, to_version=to_version, at=at
        )

    def read_all(self, selection: Selection, *, live: bool = False) -> EventFeed:
        return self._reader.read_all(selection, live=live)

    async def append(
        self, context: str, parts: Sequence[Part], *, append_id: uuid.UUID
    ) -> Appended:
        homes = {partition_of(part.aggregate_id, self._partitions) for part in parts}
        if len(homes) != 1:
            raise Invalid(
                "append.invalid",
                f"the aggregates stand on the partitions {sorted(homes)}; one append takes one",
            )
        done: Future[Result] = Future()
        append = checked(Append(context, homes.pop(), tuple(parts), append_id, done.set_result))
        self._lane.append(append)
        return await asyncio.to_thread(self._settled, append, done)

    def _settled(self, append: Append, done: "Future[Result]") -> Appended:
        try:
            result = done.result(APPEND_WITHIN_S)
        except TimeoutError as error:
            raise not_owned(append.place) from error
        if isinstance(result, FlexCoreError):
            raise result
        versions = {name: answer.versions for name, answer in result.items()}

        def read_back() -> bool:
            last = self._index.last_version
            return all(last(append.context, name) >= made[-1] for name, made in versions.items())

        if not self._tailer.wait_read(read_back, APPEND_WITHIN_S):
            raise Unavailable(
                "owner.unavailable",
                "what was committed could not be read back yet; ask again with the same append id",
            )
        events = [self._index.event(append.context, n, made[-1]) for n, made in versions.items()]
        ends = [event.offset for event in events if event is not None]
        return Appended(versions, position_text({append.place: max(ends)}) if ends else "")
