"""The command handlers: one Faust agent per command topic, and the fence at each rebalance.

commands topic ──► agent (a batch per fetch) ──► lane          thin: no business here
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import structlog
from confluent_kafka import KafkaException

from domain.contexts import CONTEXTS
from domain.errors import Unavailable
from streams.exit_codes import EXIT_INTERNAL, EXIT_STUCK
from streams.faust_host import Batch, HostApp, UntouchedSchema
from streams.group_metadata import group_metadata
from streams.kafka_lane import KafkaLane, Superseded
from streams.topics import Topics
from streams.verdicts import CommandRecord

log = structlog.get_logger("flexcore.commands")

MAX_QUEUED = 5_000
"""Commands in the lane before an agent waits: five turns, about 200 ms of work."""
POLL_S = 0.002


def host_commands(
    app: HostApp,
    lane: KafkaLane,
    topics: Topics,
    *,
    partitions: int,
    on_ready: Callable[[bool], None],
) -> None:
    """Attach an agent per context and the fence to `app`."""
    names = {topics.commands(context): context for context in CONTEXTS}
    app.batch_topics = app.transactional_topics = frozenset(names)

    async def take(stream: Any) -> None:
        async for batch in stream:
            lane.take(batch.generation, _records(batch, names[batch.topic]))
            while lane.queued > MAX_QUEUED:  # noqa: ASYNC110 - another thread empties it
                await asyncio.sleep(POLL_S)

    for topic, context in names.items():
        channel = app.topic(topic, schema=UntouchedSchema(), partitions=partitions)
        app.agent(channel, name=f"{context}.commands")(take)

    async def close() -> None:
        on_ready(False)
        await asyncio.get_running_loop().run_in_executor(None, lane.close)

    async def fence(*_: Any, **__: Any) -> None:
        places = [
            (names[tp.topic], tp.partition) for tp in app.consumer.assignment() if tp.topic in names
        ]
        consumer: Any = app.consumer
        coordinator = consumer._thread._consumer._coordinator
        group = group_metadata(
            app.conf.id,
            coordinator.generation,
            coordinator.member_id,
            coordinator._group_instance_id,
        )
        # Taken here, on the loop that closes: in a thread's queue a rebalance may overtake it.
        closings = lane.closings
        await _open(lane, places, coordinator.generation, group, closings, on_ready)

    app.before_revocation = close
    # Awaited by Faust before it seeks to the committed offsets and lets records flow.
    app.on_rebalance_complete.connect(fence)


async def _open(
    lane: KafkaLane,
    places: list[tuple[str, int]],
    generation: int,
    group: bytes,
    closings: int,
    on_ready: Callable[[bool], None],
) -> None:
    loop = asyncio.get_running_loop()
    try:
        await loop.run_in_executor(None, lane.open_places, places, generation, group, closings)
    except Superseded:
        log.info("fence_superseded", generation=generation)
        return
    except (KafkaException, Unavailable):
        log.exception("fence_failed", generation=generation)
        os._exit(EXIT_STUCK)
    except Exception:
        log.exception("fence_died", generation=generation)
        os._exit(EXIT_INTERNAL)
    log.info("fence_open", generation=generation, places=len(places))
    on_ready(True)


def _records(batch: Batch, context: str) -> list[CommandRecord]:
    return [
        CommandRecord(
            context,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            record.headers,
        )
        for record in batch.records
    ]
