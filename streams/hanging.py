"""Ends transactions that hang: decided by the coordinator, yet without their markers in some logs.

Seen on Kafka 4.4 when its only broker is killed or restarted under load: the transaction's state goes
from PrepareCommit to CompleteCommit while the broker comes up, and some partitions never get the
marker. Their readers then wait for ever, and so does whoever asks for the group's offsets. The next
marker of the same producer ends it, and a producer keeps its number with its transactional id:

    each id that may be the one ──► begin, repeat the last record, send the offsets again ──► commit

Commit, as in every case that was seen the coordinator had decided so. Where it had not, something
becomes visible that was aborted, which the lane takes as it takes any stray EndTxn.
"""

import time
from collections.abc import Collection, Iterable
from typing import Any

import structlog
from confluent_kafka import Consumer, Producer, TopicPartition

from streams.connection import Connection
from streams.kafka_writer import transactional_producer
from streams.topics import Topics
from streams.true_ends import stable_ends, true_ends
from streams.turn import Place

log = structlog.get_logger("flexcore.hanging")

STILL_S = 1.0
"""A transaction at work moves on within this; its end is at most 10 s away (its time-out)."""
TIMEOUT_S = 5.0
LOOK_BACK = 200
"""Offsets before the stuck one among which a record is looked for; the others are markers."""

Partition = tuple[str, int]


def stuck(connection: Connection, topics: Topics, places: Collection[Place]) -> list[Partition]:
    """The partitions of these places whose committed end stands still before their true end."""
    numbers = {number for _, number in places}
    shared = [(topic, n) for topic in (topics.outcomes, topics.dead) for n in numbers]
    asked = [(topics.events(context), n) for context, n in places] + shared
    before = stable_ends(connection, asked)
    ends = true_ends(connection, asked)
    time.sleep(STILL_S)
    after = stable_ends(connection, asked)
    return [one for one in asked if before[one] == after[one] < ends[one]]


def end_hanging(
    connection: Connection,
    partitions: Iterable[Partition],
    offsets: Collection[TopicPartition],
    group: bytes,
    transactional_ids: Iterable[str],
) -> None:
    """Let each id commit something on each of the partitions, and the offsets as they are.

    Raises KafkaException where Kafka does not let it.
    """
    records = [found for one in partitions if (found := _last_record(connection, *one)) is not None]
    for transactional_id in transactional_ids:
        producer = transactional_producer(connection, transactional_id)
        producer.begin_transaction()
        for record in records:
            _repeat(producer, record)
        if offsets:
            producer.send_offsets_to_transaction(list(offsets), group, TIMEOUT_S)
        producer.commit_transaction(TIMEOUT_S)


def _repeat(producer: Producer, record: Any) -> None:
    """Write a record again; every reader drops a copy of what it knows."""
    producer.produce(
        record.topic(),
        key=record.key(),
        value=record.value(),
        headers=record.headers() or [],
        partition=record.partition(),
    )


def _last_record(connection: Connection, topic: str, partition: int) -> Any:
    """The last committed record of a partition, `None` where there is none nearby."""
    consumer = Consumer(
        connection.client(
            group_id="hanging",
            isolation_level="read_committed",
            enable_auto_commit=False,
            enable_partition_eof=True,
        )
    )
    end = stable_ends(connection, [(topic, partition)])[topic, partition]
    consumer.assign([TopicPartition(topic, partition, max(0, end - LOOK_BACK))])
    last: Any = None
    try:
        while (message := consumer.poll(TIMEOUT_S)) is not None and message.error() is None:
            last = message
    finally:
        consumer.close()
    if last is None:
        log.warning("nothing_to_repeat", topic=topic, partition=partition)
    return last
