"""The event store's reading side inside a worker: one aggregate from its index, all from Kafka."""

from streams.all_events import AllEvents
from streams.connection import Connection
from streams.event_store import Selection
from streams.slices import IndexReads
from streams.stream_index import StreamIndex
from streams.topics import Topics


class IndexEventReader(IndexReads):
    """Of aggregates that another worker owns it knows what the index has read so far."""

    def __init__(
        self, connection: Connection, topics: Topics, index: StreamIndex, *, partitions: int
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._index = index
        self._partitions = partitions

    def read_all(self, selection: Selection, *, live: bool = False) -> AllEvents:
        return AllEvents(
            self._connection, self._topics, selection, partitions=self._partitions, live=live
        )
