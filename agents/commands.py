"""The command handlers: one Faust agent per command topic, and the fence at each rebalance.

commands topic ──► feed ──► agent (a batch per poll) ──► lane          thin: no business here
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from confluent_kafka import KafkaException

from domain.contexts import CONTEXTS
from domain.errors import Unavailable
from streams.command_feed import CommandFeed
from streams.connection import Connection
from streams.exit_codes import EXIT_INTERNAL, EXIT_STUCK
from streams.faust_host import HostApp, UntouchedSchema
from streams.group_metadata import group_metadata
from streams.kafka_lane import KafkaLane, Superseded
from streams.standby_assignor import standby_numbers
from streams.topics import Topics
from streams.turn import Place

log = structlog.get_logger("flexcore.commands")

MAX_QUEUED = 5_000
"""Commands in the lane before the feed waits: five turns, about 200 ms of work."""


def host_commands(
    app: HostApp,
    lane: KafkaLane,
    connection: Connection,
    topics: Topics,
    *,
    partitions: int,
    on_assigned: Callable[[frozenset[int]], None],
    on_ready: Callable[[bool], None],
) -> CommandFeed:
    """Attach an agent per context, the feed and the fence to `app`; the feed is to be stopped.

    `on_assigned` is told the partition numbers to follow, before the fence reads them to their ends.
    """
    names = {topics.commands(context): context for context in CONTEXTS}
    feed = CommandFeed(connection, topics, names, lambda: lane.queued < MAX_QUEUED)
    app.feed = feed
    feed.start()

    def attach(topic: str, context: str) -> None:
        async def take(_: Any) -> None:
            async for batch in feed.batches(context):
                lane.take(batch.generation, batch.records)

        # The stream it is given stays empty; by asking for it the topic is subscribed.
        channel = app.topic(topic, schema=UntouchedSchema(), partitions=partitions)
        app.agent(channel, name=f"{context}.commands")(take)

    for topic, context in names.items():
        attach(topic, context)

    revocations = 0

    async def close() -> None:
        nonlocal revocations
        revocations += 1
        on_ready(False)
        feed.rest()
        await asyncio.get_running_loop().run_in_executor(None, lane.close)

    async def fence(*_: Any, **__: Any) -> None:
        places = [
            (names[tp.topic], tp.partition) for tp in app.consumer.assignment() if tp.topic in names
        ]
        on_assigned(standby_numbers(app).union(number for _, number in places))
        consumer: Any = app.consumer
        coordinator = consumer._thread._consumer._coordinator
        group = group_metadata(
            app.conf.id,
            coordinator.generation,
            coordinator.member_id,
            coordinator._group_instance_id,
        )
        # Taken here, on the loop that closes: in a thread's queue a rebalance may overtake it.
        closings, before = lane.closings, revocations
        offsets = await _open(lane, places, coordinator.generation, group, closings)
        if offsets is not None and revocations == before:
            feed.read_from(coordinator.generation, offsets)
            on_ready(True)

    app.before_revocation = close
    app.on_rebalance_complete.connect(fence)
    return feed


async def _open(
    lane: KafkaLane,
    places: list[tuple[str, int]],
    generation: int,
    group: bytes,
    closings: int,
) -> Mapping[Place, int] | None:
    """The command offsets to read on from; `None` where another rebalance came meanwhile."""
    loop = asyncio.get_running_loop()
    try:
        offsets = await loop.run_in_executor(
            None, lane.open_places, places, generation, group, closings
        )
    except Superseded:
        log.info("fence_superseded", generation=generation)
        return None
    except (KafkaException, Unavailable):
        log.exception("fence_failed", generation=generation)
        os._exit(EXIT_STUCK)
    except Exception:
        log.exception("fence_died", generation=generation)
        os._exit(EXIT_INTERNAL)
    log.info("fence_open", generation=generation, places=len(places))
    return offsets
