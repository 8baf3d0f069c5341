"""The event store behind the worker keeps the contract, on a real broker."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams import topics_admin
from streams.connection import Connection
from streams.kafka_command_bus import KafkaCommandBus
from streams.registry import load_registry
from streams.topics import Topics
from streams.worker_event_store import WorkerEventStore
from tests.contracts.event_feed_contract import EventFeedContract
from tests.contracts.event_store_contract import EventReaderContract
from tests.contracts.event_world import World
from tests.stack.isolation import delete_topics

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
PARTITIONS = 3


@pytest.fixture(scope="module")
def topics(kafka: str) -> Iterator[Topics]:
    prefix = f"t{secrets.token_hex(4)}"
    topics_admin.apply(Connection(kafka), Topics(prefix), partitions=PARTITIONS)
    yield Topics(prefix)
    delete_topics(kafka, prefix)


@pytest.fixture(scope="module")
def worker(kafka: str, topics: Topics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A worker as users run it; whoever reads waits for it."""
    folder = tmp_path_factory.mktemp("worker")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FLEXCORE__KAFKA__BOOTSTRAP": kafka,
        "FLEXCORE__KAFKA__PREFIX": topics.prefix,
        "FLEXCORE__DATA_DIR": str(folder),
    }
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.worker"], env=environment, stdout=log, stderr=log
        )
    yield
    process.terminate()
    assert process.wait(30) == 0, (folder / "worker.log").read_text()[-3000:]


@pytest.mark.usefixtures("worker")
class TestWorkerEventStore(EventReaderContract, EventFeedContract):
    @pytest.fixture
    def world(self, kafka: str, topics: Topics) -> Iterator[World[WorkerEventStore]]:
        connection = Connection(kafka)
        codec = load_registry(connection, topics).codec()
        store = WorkerEventStore(connection, topics, partitions=PARTITIONS)
        bus = KafkaCommandBus(connection, topics, codec, partitions=PARTITIONS)
        with asyncio.Runner() as runner:
            runner.run(bus.start(lambda: pytest.fail("the reader died")))
            yield World(store, bus, codec, runner, PARTITIONS, examples=5)
            runner.run(bus.close())
            runner.run(store.close())
