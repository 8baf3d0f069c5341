"""The event store over a lane keeps the contract, on a real broker."""

import asyncio
import secrets
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime

import pytest

from domain.contexts import CONTEXTS
from domain.pipeline.pipeline import PipelineCreated
from streams import topics_admin
from streams.appends import new_append
from streams.connection import Connection
from streams.event_store import Part
from streams.kafka_command_bus import KafkaCommandBus
from streams.lane_event_store import LaneEventStore
from streams.states import restored
from streams.topics import Topics
from tests.contracts.event_append_contract import EventAppendContract
from tests.contracts.event_feed_contract import EventFeedContract
from tests.contracts.event_store_contract import EventReaderContract
from tests.contracts.event_world import DEFINITION, World, new_id
from tests.stack.isolation import delete_topics
from tests.streams.laned import Laned, laned

pytestmark = pytest.mark.kafka

PARTITIONS = 3


@pytest.fixture(scope="module")
def lane(kafka: str) -> Iterator[Laned]:
    topics = Topics(f"t{secrets.token_hex(4)}")
    topics_admin.apply(Connection(kafka), topics, partitions=PARTITIONS)
    with laned(Connection(kafka), topics, PARTITIONS) as running:
        yield running
    delete_topics(kafka, topics.prefix)


def test_a_snapshot_stands_beside_the_events_of_an_aggregate(lane: Laned) -> None:
    one = new_id()
    event = PipelineCreated(one, 1, "h", "A name", "me", datetime.now(UTC), "", DEFINITION)
    for _ in range(2):
        _append(lane, Part(one, [event] * 60))
    assert lane.tailer.wait_read(lambda: lane.index.last_version("pipeline", one) == 120, 20)
    _append(lane, Part(new_id(), [event]))
    assert lane.tailer.wait_read(lambda: lane.index.snapshot("pipeline", one) is not None, 20)

    found = restored(lane.index, lane.codec, CONTEXTS["pipeline"], one)

    assert found == (120, CONTEXTS["pipeline"].decider.fold([event]))


def _append(lane: Laned, part: Part) -> None:
    done: Future[object] = Future()
    lane.lane.append(new_append("pipeline", [part], uuid.uuid4(), PARTITIONS, done.set_result))
    assert isinstance(done.result(20), Mapping)


class TestLaneEventStore(EventReaderContract, EventFeedContract, EventAppendContract):
    @pytest.fixture
    def world(self, lane: Laned) -> Iterator[World[LaneEventStore]]:
        connection, topics, codec = lane.connection, lane.topics, lane.codec
        store = LaneEventStore(
            connection, topics, lane.index, lane.lane, lane.tailer, partitions=PARTITIONS
        )
        bus = KafkaCommandBus(connection, topics, codec, partitions=PARTITIONS)
        with asyncio.Runner() as runner:
            runner.run(bus.start(lambda: pytest.fail("the reader died")))
            yield World(store, bus, codec, runner, PARTITIONS, examples=5)
            runner.run(bus.close())
