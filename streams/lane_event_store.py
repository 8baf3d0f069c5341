"""The event store of a worker: appends through its lane, reads its index, all events from Kafka.

append ──► lane's next transaction ──► committed ──► read back into the index ──► Appended
"""

import asyncio
import uuid
from collections.abc import Sequence
from concurrent.futures import Future

from domain.errors import FlexCoreError, Unavailable
from streams.appends import Append, Result, new_append, not_owned
from streams.connection import Connection
from streams.event_store import Appended, Part
from streams.index_event_reader import IndexEventReader
from streams.kafka_lane import KafkaLane
from streams.kafka_tailer import KafkaTailer
from streams.positions import position_text
from streams.stream_index import StreamIndex
from streams.topics import Topics

APPEND_WITHIN_S = 10.0
"""A commit takes milliseconds, a hand-over to another worker at most this."""


class LaneEventStore(IndexEventReader):
    """Writes what its worker owns."""

    def __init__(
        self,
        connection: Connection,
        topics: Topics,
        index: StreamIndex,
        lane: KafkaLane,
        tailer: KafkaTailer,
        *,
        partitions: int,
    ) -> None:
        super().__init__(connection, topics, index, partitions=partitions)
        self._lane = lane
        self._tailer = tailer

    async def append(
        self, context: str, parts: Sequence[Part], *, append_id: uuid.UUID
    ) -> Appended:
        done: Future[Result] = Future()
        append = new_append(context, parts, append_id, self._partitions, done.set_result)
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
