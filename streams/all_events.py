"""The feed of all events over Kafka: the blocking reader on a thread, its chunks in this loop.

EventLog ──(a thread of its own)──► chunk ──► one event after the other
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from streams.connection import Connection
from streams.event_log import EventLog
from streams.event_store import Place, Selection
from streams.records import EventRecord
from streams.topics import Topics


class AllEvents:
    """Used in one event loop; read to the end it closes itself."""

    def __init__(
        self,
        connection: Connection,
        topics: Topics,
        selection: Selection,
        *,
        partitions: int,
        live: bool = False,
    ) -> None:
        self._selection = selection
        self._log = EventLog(connection, topics, selection, partitions=partitions, live=live)
        # Of its own: a consumer is for one thread at a time, and a live one would hold a shared
        # pool's for ever.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="all-events")
        self._position: dict[Place, int] = dict(selection.position)
        self._chunk: deque[EventRecord] = deque()
        self._reading: asyncio.Future[Sequence[EventRecord] | None] | None = None
        self._closed = False

    @property
    def position(self) -> Mapping[Place, int]:
        return dict(self._position)

    async def __aiter__(self) -> AsyncIterator[EventRecord]:
        while self._chunk or await self._fill():
            while self._chunk:
                event = self._chunk.popleft()
                self._position[event.context, event.partition] = event.offset + 1
                if self._selection.takes(event):
                    yield event

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._chunk.clear()
            await asyncio.get_running_loop().run_in_executor(self._thread, self._log.close)
            self._thread.shutdown()

    async def _fill(self) -> bool:
        """Wait for the next chunk; false at the end."""
        while not self._chunk:
            if self._closed:
                return False
            try:
                chunk = await self._next_chunk()
            except Exception:
                await self.aclose()
                raise
            self._position = {**self._log.starts, **self._position}
            if chunk is None:
                await self.aclose()
                return False
            self._chunk.extend(chunk)
        return True

    async def _next_chunk(self) -> Sequence[EventRecord] | None:
        if self._reading is None:
            loop = asyncio.get_running_loop()
            self._reading = loop.run_in_executor(self._thread, self._log.chunk)
        # A reader that gives up waiting loses nothing: who comes next waits for the same chunk.
        chunk = await asyncio.shield(self._reading)
        self._reading = None
        return chunk
