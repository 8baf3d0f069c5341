"""The event store's reading side inside a worker: one aggregate from its index, all from Kafka."""

from datetime import datetime

from streams.all_events import AllEvents
from streams.connection import Connection
from streams.event_store import MAX_READ, Selection, Slice
from streams.slices import Cut, slice_of
from streams.stream_index import StreamIndex
from streams.times import begun_ms
from streams.topics import Topics


class IndexEventReader:
    """Of aggregates that another worker owns it knows what the index has read so far."""

    def __init__(
        self, connection: Connection, topics: Topics, index: StreamIndex, *, partitions: int
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._index = index
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
        cut = Cut(
            from_version=from_version,
            limit=limit,
            to_version=to_version,
            at_ms=None if at is None else begun_ms(at),
        )
        return slice_of(self._index, context, aggregate_id, cut)

    def read_all(self, selection: Selection, *, live: bool = False) -> AllEvents:
        return AllEvents(
            self._connection, self._topics, selection, partitions=self._partitions, live=live
        )
