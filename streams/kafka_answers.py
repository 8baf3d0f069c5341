"""Writes the answers that the tailer gives, and keeps how far each partition is answered."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from schemas.codec import Codec
from streams.answers import Answer, outcome_headers, outcome_value
from streams.connection import Connection
from streams.exit_codes import EXIT_STUCK
from streams.failpoints import Failpoint, reached
from streams.topics import Topics

log = structlog.get_logger("flexcore.tailer")

LINGER_MS = 5
SENT_S = 0.002
"""Time for librdkafka's thread to send; acknowledgements are not waited for."""


class KafkaAnswers:
    """Positions are the committed offsets of a group that nobody joins: an owner hands them on."""

    def __init__(
        self, connection: Connection, topics: Topics, codec: Codec, *, partition: int, source: str
    ) -> None:
        self._topic = topics.outcomes
        self._partition = partition
        self._codec = codec
        self._source = source
        self._producer = Producer(
            connection.client(
                enable_idempotence=True,
                # So long that `produce` decides what goes together.
                linger_ms=LINGER_MS,
                message_timeout_ms=8_000,
                delivery_report_only_error=True,
            )
        )
        self._commits = Consumer(
            connection.client(
                group_id=topics.answers_group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
            )
        )

    @property
    def pending(self) -> int:
        """Answers that are not acknowledged yet."""
        return len(self._producer)

    def produce(self, answers: Sequence[Answer]) -> None:
        """Send answers; one that is not acknowledged within 8 s ends the process."""
        if not answers:
            return
        reached(Failpoint.BEFORE_ANSWER)
        at = datetime.now(UTC)
        outcomes = [
            (
                answer.identity.command_id.encode(),
                outcome_value(answer, self._codec),
                outcome_headers(answer, at, self._source),
            )
            for answer in answers
        ]
        for key, value, headers in outcomes:
            self._producer.produce(
                self._topic,
                key=key,
                value=value,
                partition=self._partition,
                headers=list(headers),
                on_delivery=_exit,
            )
        # What waits for a flush goes at once, in one request: that costs the broker more than an answer.
        self._producer.flush(SENT_S)
        reached(Failpoint.AFTER_ANSWER, self._producer.flush)

    def poll(self) -> None:
        """Learn what became of the answers sent."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until all answers are acknowledged, for 5 s at most."""
        self._producer.flush(5)

    def answered(self, partitions: Sequence[tuple[str, int]]) -> list[int]:
        """The offset up to which each partition (topic, number) is answered, in their order.

        Raises KafkaException where the broker does not tell within 10 s.
        """
        asked = [TopicPartition(*partition) for partition in partitions]
        committed = self._commits.committed(asked, 10.0) if asked else []
        return [max(found.offset, 0) for found in committed]

    def commit(self, answered: Mapping[tuple[str, int], int]) -> None:
        """Keep how far partitions are answered."""
        offsets = [TopicPartition(*partition, at) for partition, at in answered.items()]
        if not offsets:
            return
        try:
            self._commits.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # Older positions only mean that some answers are given twice.
            log.warning("answered_positions_not_committed", what=str(error))

    def close(self) -> None:
        self._commits.close()


def _exit(error: KafkaError | None, _: Any) -> None:
    """Only failures are reported."""
    log.error("answer_not_delivered", what=None if error is None else error.str())
    os._exit(EXIT_STUCK)
