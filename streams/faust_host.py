"""Faust as the host of our agents: batches instead of messages, committed data only.

    fetch ──► one batch message per (topic, partition, fetch) ──► agent ──► lane or projection

Faust's price is paid per message (14 k/s a core), so an agent gets one message per fetch. Its
driver has no setting for that, nor for read_committed: both are done at private hooks of
faust-streaming 0.15 and aiokafka 0.14, which pyproject.toml pins.
"""

import asyncio
import dataclasses
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import faust
from faust.serializers import codecs
from faust.tables import TableManager
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.command_feed import CommandFeed
from streams.connection import Connection

FETCH_MAX_WAIT_MS = 50
"""A fetch under way leaves out partitions whose records are not taken yet; they wait for its end."""
IDLE_S = 86_400.0
"""A feed reads past aiokafka, which takes a consumer that fetches nothing for dead."""
HEARTBEAT_S = 0.3
"""A member hears of a rebalance at its next heartbeat, so all partitions wait for the last one's."""
REQUEST_TIMEOUT_S = 25.0
"""Longer than a rebalance may take, for which a JoinGroup waits."""
PREFETCH_BACKOFF_S = 0.005
"""aiokafka's 0.1 causes most of the tail: p99 81 → 12 ms at 1,000 events/s (measured)."""


for _runs_code in ("pickle", "pickle_restricted", "pickle_fickling", "yaml"):
    # A setting that names one of them must fail at start: whoever may write a topic could run code.
    codecs.codecs.pop(_runs_code, None)


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one fetch of a partition, as aiokafka gave them, in offset order."""

    topic: str
    partition: int
    generation: int
    records: list[Any]


class HostThread(driver.AIOKafkaConsumerThread):
    """The consumer's own thread, set to committed data and short waits."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        app: Any = self.app
        consumer: Any = self._consumer
        consumer._fetcher._prefetch_backoff = PREFETCH_BACKOFF_S
        if app.feed is not None:
            # Nobody would take what it fetches.
            consumer._fetcher._fetch_task.cancel()


class HostConsumer(driver.Consumer):
    """Collapses each fetch of a batch topic, and leaves commands to the feed and to the lane."""

    app: Any

    def _new_consumer_thread(self) -> HostThread:
        return HostThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self.stop_flow()
        self.app.flow_control.suspend()
        await self.app.before_revocation()
        # The base class forgets acknowledged offsets first, so they are committed before it.
        await self.commit()
        await super().on_partitions_revoked(revoked)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        if self.app.feed is not None:
            await asyncio.sleep(timeout)
            return {}
        records = await super()._getmany(active_partitions, timeout)
        self._collapse(records)
        return records

    def _collapse(self, records: Any) -> None:
        """Make one message of each partition's records."""
        for tp, batch in records.items():
            if tp.topic in self.app.batch_topics and batch:
                generation = self.app.consumer_generation_id
                value = Batch(tp.topic, tp.partition, generation, list(batch))
                batch[:] = [dataclasses.replace(batch[-1], key=None, headers=(), value=value)]

    def verify_event_path(self, now: float, tp: TP) -> None:
        # It asks aiokafka when it last fetched, which with a feed is never.
        if self.app.feed is None:
            super().verify_event_path(now, tp)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        # Stock gap tracking turns every offset that a batch skips into an integer.
        if tp.topic not in self.app.batch_topics:
            await super()._add_gap(tp, offset_from, offset_to)

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.app.batch_topics:
            offset: int | None = super()._new_offset(tp)
            return offset
        acked = self._acked[tp]
        if not acked:
            return None
        newest = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return int(newest) + 1


class HostTransport(driver.Transport):
    Consumer = HostConsumer


class HostTables(TableManager):
    """Starts at once: the stock one sleeps a second first, which is most of a restart."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class UntouchedSchema(faust.Schema):
    """Hands key and value through as they are; `value_type=bytes` alone decodes them as JSON."""

    def loads_key(
        self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None
    ) -> Any:
        return message.key

    def loads_value(
        self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None
    ) -> Any:
        return message.value


async def _nothing() -> None:
    return None


class HostApp(faust.App):
    """`batch_topics` come as `Batch`es; with a `feed` all records come from it, and Faust commits none.

    `before_revocation` is awaited before partitions are given up.
    """

    batch_topics: frozenset[str] = frozenset()
    feed: CommandFeed | None = None
    before_revocation: Callable[[], Awaitable[None]] = staticmethod(_nothing)

    def _new_transport(self) -> HostTransport:
        return HostTransport(self.conf.broker_consumer, self)


def host_app(
    app_id: str,
    connection: Connection,
    *,
    partitions: int,
    data_dir: str,
    session_timeout_s: float,
    web_host: str,
    web_bind: str,
    web_port: int,
    instance_id: str | None = None,
    **settings: Any,
) -> HostApp:
    """A Faust app with every setting that FACTS showed to matter; its topics exist already.

    It listens on the address `web_bind` and tells others that it is at `web_host`.
    """
    app: HostApp = HostApp(
        app_id,
        broker=f"kafka://{connection.bootstrap}",
        broker_credentials=_credentials(connection),
        TableManager=HostTables,
        topic_disable_leader=True,
        topic_allow_declare=False,
        topic_partitions=partitions,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance_id,
        broker_session_timeout=session_timeout_s,
        broker_heartbeat_interval=min(HEARTBEAT_S, session_timeout_s / 5),
        broker_rebalance_timeout=20.0,
        # After a restart of the broker a JoinGroup was seen to wait for ever, which is 90 s.
        broker_request_timeout=REQUEST_TIMEOUT_S,
        broker_commit_interval=1.0,
        broker_max_poll_records=None,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        web_enabled=True,
        web_host=web_host,
        web_port=web_port,
        # Without it Faust listens on every interface.
        web_bind=web_bind,
        # Faust's own pages give tables away without asking who reads them.
        web_tables_enabled=False,
        web_router_enabled=False,
        web_graph_enabled=False,
        web_stats_enabled=False,
        web_metrics_enabled=False,
        datadir=data_dir,
        **settings,
    )
    return app


async def leave_group(app: HostApp) -> None:
    """Give all partitions back now; Faust leaves only after everything else has stopped."""
    thread: Any = cast(Any, app.consumer)._thread
    await thread.call_thread(thread._consumer._coordinator.close)


def _credentials(connection: Connection) -> Any:
    """Faust's credentials from librdkafka's names. Raises ValueError for a mechanism unknown to it."""
    security = connection.security
    protocol = security.get("security.protocol", "PLAINTEXT").upper()
    if protocol == "PLAINTEXT":
        return None
    encrypted = protocol in ("SSL", "SASL_SSL")
    context = (
        ssl.create_default_context(cafile=security.get("ssl.ca.location")) if encrypted else None
    )
    if protocol == "SSL":
        return faust.SSLCredentials(context=context)
    # Without the context Faust's SASL credentials are sent in plaintext.
    return faust.SASLCredentials(
        mechanism=security.get("sasl.mechanism", "SCRAM-SHA-512"),
        username=security.get("sasl.username"),
        password=security.get("sasl.password"),
        ssl_context=context,
    )
