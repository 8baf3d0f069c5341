"""The event store in memory keeps the contract."""

import asyncio
from collections.abc import Iterator

import pytest

from streams.memory_command_bus import MemoryCommandBus
from streams.memory_event_store import MemoryEventStore
from tests.contracts.event_store_contract import EventStoreContract, World
from tests.gateway.memory_stack import local_codec


class TestMemoryEventStore(EventStoreContract):
    @pytest.fixture
    def world(self) -> Iterator[World]:
        codec, store = local_codec(), MemoryEventStore()
        with asyncio.Runner() as runner:
            yield World(store, MemoryCommandBus(store, codec), codec, runner)
