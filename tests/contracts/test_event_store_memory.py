"""The event store in memory keeps the contract."""

import asyncio
from collections.abc import Iterator

import pytest

from streams.memory_command_bus import MemoryCommandBus
from streams.memory_event_store import PARTITIONS, MemoryEventStore
from tests.contracts.event_append_contract import EventAppendContract
from tests.contracts.event_feed_contract import EventFeedContract
from tests.contracts.event_store_contract import EventReaderContract
from tests.contracts.event_world import World
from tests.gateway.memory_stack import local_codec


class TestMemoryEventStore(EventReaderContract, EventFeedContract, EventAppendContract):
    @pytest.fixture
    def world(self) -> Iterator[World[MemoryEventStore]]:
        codec = local_codec()
        store = MemoryEventStore(codec)
        bus = MemoryCommandBus(store, codec)
        with asyncio.Runner() as runner:
            yield World(store, bus, codec, runner, PARTITIONS, examples=50)
