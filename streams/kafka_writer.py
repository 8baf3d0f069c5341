"""Runs the lane's transactions on Kafka: the I/O half of the write path.

Two producers of one slot alternate, as a transactional id that was just used answers
CONCURRENT_TRANSACTIONS for a moment (FACTS §1).
"""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from streams.connection import Connection
from streams.error_table import TransactionError
from streams.topics import MIB, Topics
from streams.turn import Place, Transaction

PRODUCERS = 2
COMMIT_TIMEOUT_S = 5.0
INIT_TIMEOUT_S = 60.0
"""COORDINATOR_LOAD_IN_PROGRESS after a broker's restart is waited out."""
TRANSACTION_TIMEOUT_MS = 10_000


def transactional_ids(writer: str) -> list[str]:
    """The ids of a writer's producers; `writer` is `<group>-<slot>`."""
    return [f"{writer}-{number}" for number in range(PRODUCERS)]


def transactional_producer(connection: Connection, transactional_id: str) -> Producer:
    """A producer whose id is initialized: whoever held it before is shut out.

    Raises KafkaException.
    """
    producer = Producer(
        connection.client(
            transactional_id=transactional_id,
            linger_ms=0,
            # 100 would make each transaction with offsets wait 100 ms (FACTS §1).
            retry_backoff_ms=2,
            retry_backoff_max_ms=2,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            socket_timeout_ms=TRANSACTION_TIMEOUT_MS,
            message_timeout_ms=8_000,
            message_max_bytes=8 * MIB,
            queue_buffering_max_messages=200_000,
        )
    )
    producer.init_transactions(INIT_TIMEOUT_S)
    return producer


class KafkaWriter:
    """Used by one thread at a time."""

    def __init__(self, connection: Connection, topics: Topics, writer: str) -> None:
        self._connection = connection
        self._topics = topics
        self._writer = writer
        self._producers: list[Producer] = []
        self._turns = 0

    def connect(self) -> None:
        """Have initialized producers. Raises KafkaException."""
        if not self._producers:
            self._producers = [
                transactional_producer(self._connection, transactional_id)
                for transactional_id in transactional_ids(self._writer)
            ]

    def discard(self) -> None:
        """Never use these producers again: what they were told last may still arrive."""
        self._producers = []

    def run(self, transaction: Transaction) -> Mapping[Place, int] | TransactionError:
        """Commit; returns the offset of each place's last event, or why it failed."""
        producer = self._producers[self._turns % len(self._producers)]
        self._turns += 1
        ends: dict[Place, int] = {}
        try:
            producer.begin_transaction()
            self._produce(producer, transaction, ends)
            producer.send_offsets_to_transaction(
                self._offsets(transaction), transaction.group, COMMIT_TIMEOUT_S
            )
            producer.commit_transaction(COMMIT_TIMEOUT_S)
        except KafkaException as error:
            return self._failed(producer, error.args[0])
        except BufferError as error:
            return TransactionError("_QUEUE_FULL", str(error))
        written = {write.place for write in transaction.writes if write.place}
        if ends.keys() != written:
            # Committed, yet not all reports came: learn from the log what is there.
            return TransactionError("_TIMED_OUT", "delivery reports are missing after commit")
        return ends

    def _produce(
        self, producer: Producer, transaction: Transaction, ends: dict[Place, int]
    ) -> None:
        # One report per place is enough: offsets within a transaction only grow.
        last = {write.place: n for n, write in enumerate(transaction.writes) if write.place}
        for number, write in enumerate(transaction.writes):
            report = {}
            if write.place and last[write.place] == number:
                report = {"on_delivery": _reporter(write.place, ends)}
            producer.produce(
                write.topic,
                value=write.value,
                key=write.key,
                partition=write.partition,
                headers=list(write.headers),
                **report,
            )

    def _offsets(self, transaction: Transaction) -> list[TopicPartition]:
        return [
            TopicPartition(
                self._topics.commands(context),
                partition,
                offset,
                transaction.metadata[context, partition],
            )
            for (context, partition), offset in transaction.offsets.items()
        ]

    def _failed(self, producer: Producer, error: KafkaError) -> TransactionError:
        aborted = False
        if error.txn_requires_abort():
            try:
                producer.abort_transaction(COMMIT_TIMEOUT_S)
                aborted = True
            except KafkaException as second:
                error = second.args[0] if error.code() != KafkaError._FENCED else error
        return TransactionError(error.name(), error.str(), error.fatal(), aborted)


def _reporter(place: Place, ends: dict[Place, int]) -> Any:
    def report(error: KafkaError | None, message: Any) -> None:
        if error is None:
            ends[place] = message.offset()

    return report
