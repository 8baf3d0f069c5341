"""Reads every answer on the outcomes topic, in a thread of its own.

all partitions, assigned, read_committed, from the end that they had before the first command
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,  # pyright: ignore[reportPrivateImportUsage] - documented there
)

from domain.errors import Unavailable, Unreadable
from schemas.codec import Codec
from streams.answers import Answer, read_outcome
from streams.broker_wait import WITHIN_S, until_answered
from streams.connection import Connection
from streams.records import header_map, text
from streams.topics import Topics
from streams.true_ends import true_ends

log = structlog.get_logger("flexcore.outcomes")

CHECK_TIMEOUT_S = 2.0
_POLL_S = 0.1
_BATCH = 1_000


class OutcomeReader:
    """Hands the answers that somebody waits for to `deliver`, in the order of each partition."""

    def __init__(
        self, connection: Connection, topics: Topics, codec: Codec, *, partitions: int
    ) -> None:
        self._connection = connection
        self._topic = topics.outcomes
        self._codec = codec
        self._partitions = partitions
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(
        self,
        wanted: Callable[[str], bool],
        deliver: Callable[[list[Answer]], None],
        crashed: Callable[[BaseException], None],
    ) -> None:
        """Read from the present end on; blocks until that is known. Raises Unavailable.

        `wanted` tells whether somebody waits for a command id; all three are called by the thread,
        `crashed` once, when it cannot go on.
        """
        consumer = Consumer(
            self._connection.client(
                # librdkafka demands a group; none is joined and nothing is committed.
                group_id=f"{self._topic}-readers",
                enable_auto_commit=False,
                isolation_level="read_committed",
                auto_offset_reset="latest",
            )
        )
        consumer.assign(self._ends())

        def run() -> None:
            try:
                self._read(consumer, wanted, deliver)
            except BaseException as error:
                # A thread that dies unseen would leave every later command without its answer.
                log.exception("outcome_reader_died")
                crashed(error)
            finally:
                consumer.close()

        self._thread = threading.Thread(target=run, name="outcome-reader", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def check(self) -> None:
        """Raises Unavailable unless answers are being read; blocks for 2 s at most."""
        if self._thread is None or not self._thread.is_alive():
            raise Unavailable("broker.unavailable", "the answers are not being read")
        try:
            AdminClient(self._connection.client()).list_topics(self._topic, CHECK_TIMEOUT_S)
        except KafkaException as error:
            raise Unavailable(
                "broker.unavailable", f"Kafka is away: {error.args[0].str()}"
            ) from error

    def _ends(self) -> list[TopicPartition]:
        asked = [(self._topic, partition) for partition in range(self._partitions)]
        ends = until_answered(
            lambda: true_ends(self._connection, asked), time.monotonic() + WITHIN_S
        )
        return [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]

    def _read(
        self,
        consumer: Consumer,
        wanted: Callable[[str], bool],
        deliver: Callable[[list[Answer]], None],
    ) -> None:
        while not self._stopping.is_set():
            # consume() waits for a full batch, so the first one is polled for.
            first = consumer.poll(_POLL_S)
            if first is None:
                continue
            answers = []
            for message in (first, *consumer.consume(_BATCH, 0)):
                answer = self._answer(message, wanted)
                if answer is not None:
                    answers.append(answer)
            if answers:
                deliver(answers)

    def _answer(self, message: Any, wanted: Callable[[str], bool]) -> Answer | None:
        """The answer in a record, `None` where nobody waits for it or it is none."""
        if message.error() is not None:
            log.warning("outcome_read_error", what=message.error().str())
            return None
        headers = header_map(message.headers())
        command_id = text(headers, "ce_commandid")
        if not wanted(command_id):
            return None
        try:
            return read_outcome(headers, message.value() or b"", self._codec)
        except (Unreadable, AttributeError) as error:
            # AttributeError: a record of ours that is no Outcome.
            log.warning(
                "outcome_unreadable",
                partition=message.partition(),
                offset=message.offset(),
                command_id=command_id,
                what=str(error),
            )
            return None
