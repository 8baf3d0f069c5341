"""Fast writes of table rows to their changelogs, and dead letters; flushed before anything counts.

Faust's own producer stops at ~10,000 keys/s and reports a failed delivery as a warning; librdkafka
writes 173,000 and a failure here ends the process, so that the rows are folded and written again.
"""

from collections.abc import Callable, Iterable
from typing import Any

import structlog
from confluent_kafka import KafkaError, Producer

from streams.connection import Connection
from streams.dead_letters import Letter, letter_headers
from streams.topics import MIB, Topics

log = structlog.get_logger("flexcore.projections")

FLUSH_S = 30.0
"""Longer than a broker's restart (3 s) and its fail-over (10 s)."""
MAX_RECORD_BYTES = 8 * MIB


class ChangelogLost(RuntimeError):
    """A row or dead letter did not reach the broker; what was folded has to be folded again."""


class Changelog:
    """An idempotent producer with explicit partitions; `on_lost` is called from its thread."""

    def __init__(
        self, connection: Connection, topics: Topics, on_lost: Callable[[str], None]
    ) -> None:
        self._topics = topics
        self._on_lost = on_lost
        self._producer = Producer(
            connection.client(
                enable_idempotence=True,
                linger_ms=0,
                message_max_bytes=MAX_RECORD_BYTES,
                queue_buffering_max_messages=1_000_000,
                message_timeout_ms=int(FLUSH_S * 1000),
            )
        )

    def write(self, table: str, partition: int, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Queue rows for the table's changelog, in order."""
        topic = self._topics.changelog(table)
        for key, value in rows:
            self._produce(topic, key=key, value=value, partition=partition)

    def bury(self, record: Any, topic: str, why: str) -> None:
        """Queue a dead letter: the record as it is, with why and where from."""
        letter = Letter(
            topic=topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=record.headers or (),
            why=why,
            by=self._topics.projector_group,
        )
        self._produce(
            self._topics.dead,
            key=letter.key,
            value=letter.value,
            headers=letter_headers(letter),
            partition=letter.partition,
        )

    def flush(self) -> None:
        """Wait until everything queued is on the broker. Raises ChangelogLost."""
        if self._producer.flush(FLUSH_S) > 0:
            raise ChangelogLost(f"the broker did not take all rows within {FLUSH_S:g} s")

    def _produce(self, topic: str, **record: Any) -> None:
        while True:
            try:
                self._producer.produce(topic, on_delivery=self._delivered, **record)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _delivered(self, error: KafkaError | None, message: Any) -> None:
        if error is None:
            return
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            # Trying again would stop the partition for good; this parks one aggregate after the
            # next restart, and PostgreSQL has the row.
            log.error("row_too_large", topic=message.topic(), key=message.key())
        else:
            self._on_lost(error.str())
