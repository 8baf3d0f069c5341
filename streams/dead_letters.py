"""Dead letters: a record that nobody could handle, byte for byte, with why and where from.

record ──► headers of its own + dead_id, dead_time, dead_topic, dead_partition, dead_offset,
           dead_reason, dead_by ──► `flexcore.dead`
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import KafkaError, Producer

from streams.connection import Connection
from streams.records import NAMESPACE, time_text
from streams.topics import MIB, Topics

FLUSH_S = 30.0
"""Longer than a broker's restart (3 s) and its fail-over (10 s)."""
MAX_DEAD_BYTES = 8 * MIB
MAX_REASON = 1_000


class LetterLost(RuntimeError):
    """A dead letter did not reach the broker; the record has to be buried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """`topic`, `partition`, `offset` are the record's place; `more` are headers beside the usual ones.

    `scope` tells apart those who may each bury the same record.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Iterable[tuple[str, Any]]
    why: str
    by: str
    scope: str = ""
    more: Mapping[str, str] = field(default_factory=dict)


def letter_headers(letter: Letter) -> list[tuple[str, Any]]:
    """The record's own headers, then why and where from.

    The id is the place, so that a letter written again after a restart is the same one.
    """
    place = f"{letter.scope}{letter.topic}/{letter.partition}@{letter.offset}"
    return [
        *letter.headers,
        ("dead_id", str(uuid.uuid5(NAMESPACE, place))),
        ("dead_time", time_text(datetime.now(UTC))),
        ("dead_topic", letter.topic),
        ("dead_partition", str(letter.partition)),
        ("dead_offset", str(letter.offset)),
        ("dead_reason", letter.why[:MAX_REASON]),
        ("dead_by", letter.by),
        *letter.more.items(),
    ]


class DeadLetters:
    """Writes letters one by one, each acknowledged; used by several threads."""

    def __init__(self, connection: Connection, topics: Topics) -> None:
        self._topic = topics.dead
        self._producer = Producer(
            connection.client(
                enable_idempotence=True,
                linger_ms=0,
                message_max_bytes=MAX_DEAD_BYTES,
                message_timeout_ms=int(FLUSH_S * 1000),
            )
        )

    def bury(self, letter: Letter) -> None:
        """Write a letter and wait until the broker has it. Raises LetterLost."""
        failed: list[str] = ["it was not acknowledged in time"]

        def delivered(error: KafkaError | None, _: Any) -> None:
            failed[:] = [] if error is None else [error.str()]

        self._producer.produce(
            self._topic,
            key=letter.key,
            value=letter.value,
            headers=letter_headers(letter),
            partition=letter.partition,
            on_delivery=delivered,
        )
        self._producer.flush(FLUSH_S + 1.0)
        if failed:
            raise LetterLost(failed[0])
