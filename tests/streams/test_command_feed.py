"""The feed reads what the fence names, from there, for its generation, as fast as there is room."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import Producer

from domain.contexts import CONTEXTS
from streams import topics_admin
from streams.command_feed import MAX_WAITING, Batch, CommandFeed
from streams.connection import Connection
from streams.topics import Topics
from streams.turn import Place

pytestmark = pytest.mark.kafka

WITHIN_S = 30.0
PARTITIONS = 2
A, B = ("pipeline", 0), ("pipeline", 1)


@pytest.fixture
def topics(kafka: str, kafka_prefix: str) -> Topics:
    """Three commands on each partition of the pipelines, and as many on one of the executions'."""
    topics = Topics(kafka_prefix)
    topics_admin.apply(Connection(kafka), topics, partitions=PARTITIONS)
    producer = Producer(Connection(kafka).client(linger_ms=0))
    for context, partition in (A, B, ("execution", 0)):
        for number in range(3):
            producer.produce(
                topics.commands(context),
                key=b"key",
                value=str(number).encode(),
                partition=partition,
                headers=[("ce_id", b"id")],
            )
    assert producer.flush(WITHIN_S) == 0
    return topics


@asynccontextmanager
async def reading(
    kafka: str, topics: Topics, room: Callable[[], bool] = lambda: True
) -> AsyncIterator[CommandFeed]:
    names = {topics.commands(context): context for context in CONTEXTS}
    feed = CommandFeed(Connection(kafka), topics, names, room)
    feed.start()
    try:
        yield feed
    finally:
        await asyncio.to_thread(feed.stop)


async def batch(feed: CommandFeed, context: str, within_s: float = WITHIN_S) -> Batch | None:
    """The next batch of a context, `None` where none comes."""
    try:
        async with asyncio.timeout(within_s):
            return await anext(feed.batches(context))
    except TimeoutError:
        return None


async def read(
    feed: CommandFeed, generation: int, wanted: Mapping[Place, int]
) -> dict[Place, list[int]]:
    """The offsets read of each place, until as many came as stand there from `wanted` on."""
    found: dict[Place, list[int]] = {place: [] for place in wanted}
    feed.read_from(generation, wanted)
    for place, start in wanted.items():
        while len(found[place]) < 3 - start:
            got = await batch(feed, place[0])
            assert got is not None, found
            if got.generation == generation:
                for command in got.records:
                    found[command.context, command.partition].append(command.offset)
    return found


def test_it_reads_each_partition_from_the_offset_it_is_told(kafka: str, topics: Topics) -> None:
    async def found() -> dict[Place, list[int]]:
        async with reading(kafka, topics) as feed:
            return await read(feed, 1, {A: 2, B: 0, ("execution", 0): 1})

    assert asyncio.run(found()) == {A: [2], B: [0, 1, 2], ("execution", 0): [1, 2]}


def test_after_a_rebalance_it_reads_again_from_where_it_is_told(kafka: str, topics: Topics) -> None:
    async def found() -> list[dict[Place, list[int]]]:
        async with reading(kafka, topics) as feed:
            return [await read(feed, 1, {A: 0, B: 0}), await read(feed, 2, {A: 1})]

    assert asyncio.run(found()) == [{A: [0, 1, 2], B: [0, 1, 2]}, {A: [1, 2]}]


def test_at_rest_it_reads_nothing(kafka: str, topics: Topics) -> None:
    async def generations() -> set[int]:
        """Of what comes after it was told to rest: a poll was under way."""
        found = set()
        async with reading(kafka, topics) as feed:
            await read(feed, 1, {A: 0})
            feed.rest()
            while got := await batch(feed, "pipeline", 0.5):
                found.add(got.generation)
        return found

    assert asyncio.run(generations()) <= {1}


def test_without_room_it_leaves_commands_where_they_are(kafka: str, topics: Topics) -> None:
    room = False

    async def before_and_after() -> tuple[Any, Any]:
        nonlocal room
        async with reading(kafka, topics, lambda: room) as feed:
            feed.read_from(1, {A: 0})
            before = await batch(feed, "pipeline", 1.0)
            room = True
            return before, await read(feed, 2, {A: 0})

    assert asyncio.run(before_and_after()) == (None, {A: [0, 1, 2]})


def test_an_agent_that_does_not_take_holds_the_feed_up(kafka: str, topics: Topics) -> None:
    """What would wait in memory stays on its topic instead."""
    producer = Producer(Connection(kafka).client(linger_ms=0))

    async def batches() -> int:
        async with reading(kafka, topics) as feed:
            feed.read_from(1, {A: 3})
            for number in range(10):
                producer.produce(topics.commands("pipeline"), value=b"more", partition=0)
                await asyncio.to_thread(producer.flush, WITHIN_S)
                if number < 2:
                    # So that each of these is a batch of its own.
                    assert await batch(feed, "pipeline")
            count = 0
            async with asyncio.timeout(WITHIN_S):
                found = 2
                async for got in feed.batches("pipeline"):
                    found += len(got.records)
                    count += 1
                    if found == 10:
                        return count
        return count

    assert asyncio.run(batches()) <= MAX_WAITING + 2


def test_a_record_comes_as_it_stands(kafka: str, topics: Topics) -> None:
    value, at_ms = secrets.token_bytes(100), time.time_ns() // 1_000_000 - 5_000
    producer = Producer(Connection(kafka).client(linger_ms=0))
    producer.produce(topics.commands("pipeline"), value=value, partition=0, timestamp=at_ms)
    producer.flush(WITHIN_S)

    async def found() -> Batch | None:
        async with reading(kafka, topics) as feed:
            feed.read_from(7, {A: 3})
            return await batch(feed, "pipeline")

    got = asyncio.run(found())
    assert got is not None
    (command,) = got.records
    assert got.generation == 7
    # The broker's clock counts for commands, whatever a client says.
    assert command.timestamp_ms >= at_ms
    assert command == ("pipeline", 0, 3, command.timestamp_ms, None, value, (), "")


def test_what_nobody_can_unpack_is_passed_over_and_told(kafka: str, topics: Topics) -> None:
    """Before, 6 KB that stand for 200 MB held up their partition for ever."""
    bombs = Producer(
        Connection(kafka).client(message_max_bytes=300_000_000, compression_type="zstd")
    )
    for value in (b"before", b"\0" * 200_000_000, b"\0" * 200_000_000, b"behind"):
        bombs.produce(topics.commands("pipeline"), key=b"key", value=value, partition=0)
        assert bombs.flush(WITHIN_S) == 0

    async def found() -> dict[int, tuple[bytes | None, bool]]:
        records: dict[int, tuple[bytes | None, bool]] = {}
        async with reading(kafka, topics) as feed:
            feed.read_from(1, {A: 3})
            while 6 not in records:
                got = await batch(feed, "pipeline")
                assert got is not None, records
                records |= {one.offset: (one.value, bool(one.unread)) for one in got.records}
        return records

    assert asyncio.run(found()) == {
        3: (b"before", False),
        4: (None, True),
        5: (None, True),
        6: (b"behind", False),
    }
