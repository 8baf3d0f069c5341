"""After a rebalance commands are read on from what is committed, and from the start where nothing is."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from faust.contrib.asgi import faust_app_running

from services.embedded import ports
from streams import topics_admin
from streams.connection import Connection
from streams.faust_host import UntouchedSchema, host_app
from streams.topics import Topics
from tests.faults.running import PARTITIONS

pytestmark = pytest.mark.kafka

WITHIN_S = 60.0
COMMITTED, FRESH = 0, 1
"""Partitions with and without a committed offset."""


def test_a_seek_reads_a_partition_without_a_commit_from_its_start(
    kafka: str, kafka_prefix: str, tmp_path: Path
) -> None:
    connection, topics = Connection(kafka), Topics(kafka_prefix)
    topics_admin.apply(connection, topics, partitions=PARTITIONS)
    topic = topics.commands("execution")
    producer = Producer(connection.client(linger_ms=0))
    for partition in (COMMITTED, FRESH):
        for number in range(3):
            producer.produce(topic, value=str(number).encode(), partition=partition)
    assert producer.flush(30) == 0
    group = Consumer(connection.client(group_id=topics.worker_group))
    group.commit(offsets=[TopicPartition(topic, COMMITTED, 2)], asynchronous=False)
    group.close()
    found = asyncio.run(_read_twice(connection, topics, topic, tmp_path))
    assert found[COMMITTED] == [2, 2]
    assert found[FRESH] == [0, 1, 2, 0, 1, 2]


async def _read_twice(
    connection: Connection, topics: Topics, topic: str, folder: Path
) -> dict[int, list[int]]:
    """The offsets of both partitions that an agent sees before and after a seek."""
    app = host_app(
        topics.worker_group,
        connection,
        partitions=PARTITIONS,
        data_dir=str(folder),
        session_timeout_s=6.0,
        web_host="127.0.0.1",
        web_port=ports.pick(),
    )
    app.batch_topics = app.transactional_topics = frozenset({topic})
    found: dict[int, list[int]] = {COMMITTED: [], FRESH: []}
    seen = threading.Event()

    async def take(stream: Any) -> None:
        async for batch in stream:
            for record in batch.records:
                found[record.partition].append(record.offset)
            if all(offsets.count(2) for offsets in found.values()):
                seen.set()

    channel = app.topic(topic, schema=UntouchedSchema(), partitions=PARTITIONS)
    app.agent(channel, name="reader")(take)
    async with faust_app_running(app):
        assert await asyncio.to_thread(seen.wait, WITHIN_S)
        first = {partition: list(offsets) for partition, offsets in found.items()}
        for offsets in found.values():
            offsets.clear()
        seen.clear()
        await app.consumer.perform_seek()
        assert await asyncio.to_thread(seen.wait, WITHIN_S), (first, found)
    return {partition: first[partition] + found[partition] for partition in found}
