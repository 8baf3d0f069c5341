"""The true end of partitions: what is written, committed or not.

A read_committed consumer's watermark is the last stable offset instead: it hides what an open
transaction has written, and a reader who took it for the end would stop too early (FACTS §1).
"""

from collections.abc import Iterable

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    OffsetSpec,  # pyright: ignore[reportPrivateImportUsage] - documented there
)

from streams.broker_wait import REQUEST_S
from streams.connection import Connection


def true_ends(
    connection: Connection, asked: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    """The next offset of each (topic, partition). Raises KafkaException."""
    return _ends(connection, asked, IsolationLevel.READ_UNCOMMITTED)


def stable_ends(
    connection: Connection, asked: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    """Where committed data ends: the first offset of an open transaction. Raises KafkaException."""
    return _ends(connection, asked, IsolationLevel.READ_COMMITTED)


def _ends(
    connection: Connection, asked: Iterable[tuple[str, int]], isolation: IsolationLevel
) -> dict[tuple[str, int], int]:
    latest = OffsetSpec.latest()
    assert latest is not None
    # A new client each time: one whose broker was killed may time out for ever.
    admin = AdminClient(connection.client())
    specs: dict[TopicPartition, OffsetSpec] = {TopicPartition(*place): latest for place in asked}
    answers = admin.list_offsets(specs, isolation_level=isolation, request_timeout=REQUEST_S)
    return {(p.topic, p.partition): int(a.result().offset) for p, a in answers.items()}
