"""The event store over a lane keeps the contract, on a real broker."""

import asyncio
import secrets
from collections.abc import Iterator

import pytest

from streams import topics_admin
from streams.connection import Connection
from streams.kafka_command_bus import KafkaCommandBus
from streams.lane_event_store import LaneEventStore
from streams.topics import Topics
from tests.contracts.event_append_contract import EventAppendContract
from tests.contracts.event_feed_contract import EventFeedContract
from tests.contracts.event_store_contract import EventReaderContract
from tests.contracts.event_world import World
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
