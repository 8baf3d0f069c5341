"""The projector: one Faust app that keeps every read model in a table and in PostgreSQL.

    events ──► fold ──► table (memory) + changelog ──► PostgreSQL ──► acknowledged

Reading starts at the smaller of group offset and checkpoint; folds skip what they have seen.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka.errors import IllegalStateError
from faust.types import TP

from domain.contexts import CONTEXTS
from projections.changelog import Changelog
from projections.folding import Folded, Folder
from projections.group import set_back, stored_before
from projections.handlers import PROJECTIONS
from projections.metrics import Metrics
from projections.reading import Reader
from projections.sink import Job, Sink
from projections.store import STORE_URL
from schemas.codec import Codec
from streams.connection import Connection
from streams.faust_host import Batch, HostApp, UntouchedSchema, host_app
from streams.topics import Topics, partition_of

log = structlog.get_logger("flexcore.projections")

SESSION_TIMEOUT_S = 6.0
STREAM_BUFFER = 64
"""Batches between fetcher and fold, 1 MiB each at most."""
RECOVERY_BUFFER = 16
"""Changelog batches between fetcher and table; 1 has a meaning of its own to Faust."""
DRAIN_S = 2.0
"""A revocation waits this long for PostgreSQL; what is not stored then, the next owner reads."""
GAP_CHECK_S = 1.0

INTERNAL = 71
"""Exit code: restart me and look."""


class Projector:
    """`on_fatal(exit code, why)` is called when only a new process can go on."""

    def __init__(
        self,
        *,
        connection: Connection,
        topics: Topics,
        codec: Codec,
        partitions: int,
        database_url: str,
        data_dir: str,
        host: str,
        bind: str,
        port: int,
        on_fatal: Callable[[int, str], None],
    ) -> None:
        self.topics = topics
        self.partitions = partitions
        self.metrics = Metrics()
        self.assigned = False
        self.recovered = False
        self.leaving = False
        self._on_fatal = on_fatal
        self._changelog = Changelog(connection, topics, self._lost)
        self.sink = Sink(database_url, self._flush, self._written)
        self.app = _app(connection, topics, partitions, data_dir, host, bind, port)
        self._contexts = {
            topics.events(projection.context): projection.context
            for projection in PROJECTIONS.values()
        }
        self._readers = {
            topic: Reader(context, CONTEXTS[context].events, codec, partitions)
            for topic, context in self._contexts.items()
        }
        self.tables = {name: self._table(name) for name in PROJECTIONS}
        self.folders = {
            name: Folder(projection, self._lookup(name)) for name, projection in PROJECTIONS.items()
        }
        self._unacked: dict[TP, list[Any]] = {}
        self._next: dict[TP, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wire()

    async def run(self) -> None:
        """Write what was folded and watch gaps, until cancelled; the app runs beside it."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.sink.run())
                group.create_task(self._watch_gaps())
        except* Exception as errors:
            log.exception("projector_failed")
            self._on_fatal(INTERNAL, repr(errors.exceptions[0]))

    async def drained(self) -> None:
        """Wait a moment until what was folded is stored, so that nobody has to fold it again."""
        if self.sink.connected:
            try:
                async with asyncio.timeout(DRAIN_S):
                    await self.sink.drained()
            except TimeoutError:
                log.warning("left_unstored", batches=self.sink.queued)

    @property
    def ready(self) -> dict[str, bool]:
        """What has to hold before this process counts as ready."""
        return {
            "assignment": self.assigned,
            "database": self.sink.connected,
            "staying": not self.leaving,
        }

    # ── building ─────────────────────────────────────────────────────────────────────────

    def _table(self, name: str) -> Any:
        return self.app.Table(
            name,
            schema=UntouchedSchema(),
            key_type=bytes,
            value_type=bytes,
            partitions=self.partitions,
            recovery_buffer_size=RECOVERY_BUFFER,
        )

    def _lookup(self, name: str) -> Callable[[str], bytes | None]:
        table = self.tables[name]

        def lookup(aggregate_id: str) -> bytes | None:
            value: bytes | None = table.data.data.get(aggregate_id.encode())
            return value

        return lookup

    def _wire(self) -> None:
        events = self.app.topic(
            *self._contexts, schema=UntouchedSchema(), partitions=self.partitions
        )
        self.app.batch_topics = frozenset(self._contexts) | frozenset(
            self.topics.changelog(name) for name in self.tables
        )
        self.app.before_revocation = self._before_revocation
        self.app.agent(events, name="projections")(self._project)
        self.app.on_rebalance_complete.connect(self._on_assigned)

    # ── assignment ───────────────────────────────────────────────────────────────────────

    async def _before_revocation(self) -> None:
        self.assigned = self.recovered = False
        await self.drained()

    async def _on_assigned(self, *_: Any, **__: Any) -> None:
        """The tables are recovered; set the reading position and start folding anew."""
        for folder in self.folders.values():
            folder.forget()
        self._unacked.clear()
        self._next.clear()
        self._rewrite_stale()
        self.recovered = True
        generation = self.app.consumer_generation_id
        checkpoints = await self.sink.checkpoints()
        if generation != self.app.consumer_generation_id:
            return  # the database took so long that this assignment is over
        stored = {
            tp: stored_before(tp, context, PROJECTIONS.values(), checkpoints)
            for tp in self.app.consumer.assignment()
            if (context := self._contexts.get(tp.topic)) is not None
        }
        await set_back(self.app.consumer, stored)
        self.assigned = True
        log.info("projector_assigned", partitions=len(stored))

    def _rewrite_stale(self) -> None:
        for name, table in self.tables.items():
            store = table.data
            for key in store.stale:
                partition = partition_of(key.decode(), self.partitions)
                self._changelog.write(name, partition, [(key, store.data[key])])
            store.stale.clear()

    # ── folding ──────────────────────────────────────────────────────────────────────────

    async def _project(self, stream: Any) -> None:
        async for event in stream.noack().events():
            try:
                await self._take(event)
            except Exception as error:
                log.exception("fold_failed")
                self._on_fatal(INTERNAL, repr(error))
                return

    async def _take(self, event: Any) -> None:
        batch: Batch = event.value
        # Read before a rebalance: the next owner, or we, read it again from the group's offset.
        if batch.generation != self.app.consumer_generation_id or not self.assigned:
            return
        tp = TP(batch.topic, batch.partition)
        context = self._contexts[batch.topic]
        arrived, unfit = self._readers[batch.topic].read(batch)
        for bad in unfit:
            log.error("dead_letter", topic=tp.topic, offset=bad.record.offset, why=bad.why)
            self._changelog.bury(bad.record, batch.topic, bad.why)
        self.metrics.dead.labels(context).inc(len(unfit))
        self.metrics.events.labels(context).inc(len(arrived))
        next_offset = batch.records[-1].offset + 1
        end = max(self.app.consumer.highwater(tp) or 0, next_offset)
        folded = [
            folder.fold(batch.partition, arrived, next_offset, end)
            for folder in self.folders.values()
            if folder.projection.context == context
        ]
        for one in folded:
            self._write_table(one)
        self._next[tp] = next_offset
        self._unacked.setdefault(tp, []).append(event)
        await self._store(tp, folded, batch.records[-1].timestamp)

    def _write_table(self, folded: Folded) -> None:
        name = folded.projection.name
        rows = [(key.encode(), entry.value(key)) for key, entry in folded.rows.items()]
        self.tables[name].data.data.update(rows)
        self._changelog.write(name, folded.partition, rows)

    async def _store(self, tp: TP, folded: list[Folded], timestamp_ms: int | None) -> None:
        """Queue what was folded; a gap that is not confirmed yet keeps its batches unacknowledged."""
        done: list[Any] = []
        if all(one.safe_offset >= one.next_offset for one in folded):
            done = self._unacked.pop(tp, [])
        context = self._contexts[tp.topic]

        def stored() -> None:
            for event in done:
                event.ack()
            if timestamp_ms is not None:
                self.metrics.lag.labels(context).observe(time.time() - timestamp_ms / 1000)

        await self.sink.put(Job(folded, stored))

    async def _watch_gaps(self) -> None:
        """Confirm gaps at the end of an idle partition, where no later event does it.

        The end is reached where the consumer's position is, if nothing came in for a while.
        """
        seen: dict[TP, int] = {}
        while True:
            await asyncio.sleep(GAP_CHECK_S)
            gaps = {
                TP(self.topics.events(folder.projection.context), partition): folder
                for folder in self.folders.values()
                for partition in folder.open_gaps
            }
            for tp, folder in gaps.items():
                if self.assigned and seen.get(tp) == self._next.get(tp):
                    await self._confirm(tp, folder)
            seen = dict(self._next)

    async def _confirm(self, tp: TP, folder: Folder) -> None:
        next_offset, generation = self._next[tp], self.app.consumer_generation_id
        try:
            position = await self.app.consumer.position(tp)
        except IllegalStateError:
            return  # taken from us in this moment
        if position is not None and generation == self.app.consumer_generation_id:
            folded = folder.confirmed(tp.partition, position, next_offset)
            await self._store(tp, [folded], None)

    # ── results ──────────────────────────────────────────────────────────────────────────

    async def _flush(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._changelog.flush)
        for name, folder in self.folders.items():
            self.metrics.parked.labels(name).set(folder.parked)
        self.metrics.queued.set(self.sink.queued)

    def _written(self, name: str, rows: int) -> None:
        self.metrics.rows.labels(name).inc(rows)

    def _lost(self, what: str) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_fatal, INTERNAL, f"changelog lost: {what}")


def _app(
    connection: Connection,
    topics: Topics,
    partitions: int,
    data_dir: str,
    host: str,
    bind: str,
    port: int,
) -> HostApp:
    return host_app(
        topics.projector_group,
        connection,
        partitions=partitions,
        data_dir=data_dir,
        session_timeout_s=SESSION_TIMEOUT_S,
        web_host=host,
        web_bind=bind,
        web_port=port,
        canonical_url=f"http://{host}:{port}",
        # A standby in memory is dropped and read anew when it takes over: it would save nothing.
        table_standby_replicas=0,
        store=STORE_URL,
        stream_buffer_maxsize=STREAM_BUFFER,
    )
