"""Runs the lane's transactions on Kafka: the I/O half of the write path.

    run(transaction) ──► a thread that may be given up ──► begin, produce, offsets, commit

Two producers of one slot alternate, as a transactional id that was just used answers
CONCURRENT_TRANSACTIONS for a moment (FACTS §1). A producer whose connection broke, or whose commit
took long, may have sent its last EndTxn twice (KAFKA-17754): it is replaced before the next
transaction, for Kafka refuses what comes from an id that was initialized again.
"""

import threading
import time
from collections.abc import Callable, Mapping, Set
from concurrent.futures import Future
from typing import Any, TypeVar

import orjson
import structlog
from confluent_kafka import KafkaException, Producer, TopicPartition

from streams.connection import Connection
from streams.error_table import TransactionError
from streams.failpoints import Failpoint, armed, reached
from streams.topics import MIB, Topics
from streams.turn import Place, Transaction

log = structlog.get_logger("flexcore.writer")

T = TypeVar("T")

PRODUCERS = 2
OFFSETS_TIMEOUT_S = 3.0
COMMIT_TIMEOUT_S = 5.0
HANGING_S = OFFSETS_TIMEOUT_S + COMMIT_TIMEOUT_S + 1.0
"""Both calls were seen to outlast their own deadlines, for ever (librdkafka #5456, #5511)."""
SLOW_COMMIT_S = 0.5
"""A commit after which the connection is not trusted: cut ones took 3 ms to 6.4 s (FACTS §1)."""
RECYCLE_TIMEOUT_S = 5.0
INIT_TIMEOUT_S = 60.0
"""COORDINATOR_LOAD_IN_PROGRESS after a broker's restart is waited out."""
TRANSACTION_TIMEOUT_MS = 10_000
STATISTICS_MS = 500


def transactional_ids(writer: str) -> list[str]:
    """The ids of a writer's producers; `writer` is `<group>-<slot>`."""
    return [f"{writer}-{number}" for number in range(PRODUCERS)]


def transactional_producer(
    connection: Connection,
    transactional_id: str,
    on_statistics: Callable[[str], None] | None = None,
    timeout_s: float = INIT_TIMEOUT_S,
) -> Producer:
    """A producer whose id is initialized: whoever held it before is shut out.

    Raises KafkaException.
    """
    statistics = {"stats_cb": on_statistics, "statistics.interval.ms": STATISTICS_MS}
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
        | (statistics if on_statistics else {})
    )
    producer.init_transactions(timeout_s)
    return producer


class _Doubt:
    """What makes a producer doubtful: `why` is empty as long as nothing does.

    Not part of what holds the producer: a producer that its own callback holds is never destroyed, as a
    worker hardly ever looks for cycles. Each took five threads and as many connections.
    """

    def __init__(self) -> None:
        self.why = ""
        self._disconnects: int | None = None

    def on_statistics(self, text: str) -> None:
        # error_cb hears nothing of a cut connection, the log only sometimes (FACTS §1).
        brokers = orjson.loads(text)["brokers"].values()
        count = sum(broker["disconnects"] for broker in brokers)
        if self._disconnects is not None and count > self._disconnects:
            self.why = self.why or "disconnected"
        self._disconnects = count

    def begin(self) -> None:
        """What happened so far is over."""
        self._disconnects = None


class _Trusted:
    """A producer and what makes it doubtful."""

    def __init__(self, connection: Connection, transactional_id: str, timeout_s: float) -> None:
        self.doubt = _Doubt()
        self.producer = transactional_producer(
            connection, transactional_id, self.doubt.on_statistics, timeout_s
        )
        self.producer.poll(0)
        self.doubt.begin()


class KafkaWriter:
    """Used by one thread at a time."""

    def __init__(self, connection: Connection, topics: Topics, writer: str) -> None:
        self._connection = connection
        self._topics = topics
        self._writer = writer
        self._producers: list[_Trusted] = []
        self._turns = 0
        self.recycled = 0
        self.hanging = 0

    def connect(self) -> None:
        """Have initialized producers. Raises KafkaException."""
        if not self._producers:
            self._producers = self._initialized(INIT_TIMEOUT_S)

    def _initialized(self, timeout_s: float) -> list[_Trusted]:
        return [
            _Trusted(self._connection, transactional_id, timeout_s)
            for transactional_id in transactional_ids(self._writer)
        ]

    def discard(self) -> None:
        """Never use these producers again: what they were told last may still arrive."""
        # To destroy one whose broker is away may take seconds.
        threading.Thread(target=self._producers.clear, name="discard", daemon=True).start()
        self._producers = []

    def idle(self) -> None:
        """Take in the statistics that came meanwhile."""
        for trusted in self._producers:
            trusted.producer.poll(0)

    def run(self, transaction: Transaction) -> Mapping[Place, int] | TransactionError:
        """Commit; returns the offset of each place's last event, or why it failed."""
        try:
            self._replace_doubtful()
            self._turns += 1
            chosen = self._producers[self._turns % len(self._producers)]
            return self._awaited(lambda: self._transact(chosen, transaction), HANGING_S)
        except KafkaException as error:
            # Not aborted here: the next producer of this id does so when it is initialized.
            cause = error.args[0]
            return TransactionError(cause.name(), cause.str(), cause.fatal())
        except TimeoutError:
            # Its producer is fenced before another of the same id writes: it can do no harm.
            self.hanging += 1
            return TransactionError("_TIMED_OUT", "a call of librdkafka does not return")

    def _replace_doubtful(self) -> None:
        self.idle()
        doubts = [t.doubt.why for t in self._producers if t.doubt.why]
        if doubts:
            log.warning("producers_recycled", why=doubts)
            self.recycled += 1
            self.discard()
        if not self._producers:
            self._producers = self._awaited(
                lambda: self._initialized(RECYCLE_TIMEOUT_S), PRODUCERS * RECYCLE_TIMEOUT_S + 1
            )

    def _awaited(self, work: Callable[[], T], timeout_s: float) -> T:
        """The result of `work`, done by another thread, which is given up if it hangs."""
        done: Future[T] = Future()

        def run(done: Future[T]) -> None:
            try:
                done.set_result(work())
            except Exception as error:
                done.set_exception(error.with_traceback(None))

        threading.Thread(target=run, name="transaction", args=(done,), daemon=True).start()
        try:
            return done.result(timeout_s)
        finally:
            # An error that holds itself by its traceback would hold the producer with it.
            del done

    def _transact(
        self, trusted: _Trusted, transaction: Transaction
    ) -> Mapping[Place, int] | TransactionError:
        producer = trusted.producer
        internal = armed(Failpoint.INTERNAL_BEFORE_COMMIT) or armed(Failpoint.INTERNAL_AFTER_COMMIT)
        internal = internal and _internal_only(transaction)
        reached(Failpoint.BEFORE_TRANSACTION)
        producer.begin_transaction()
        try:
            written, ends = self._produce(producer, transaction)
        except BufferError as error:
            return TransactionError("_QUEUE_FULL", str(error))
        reached(Failpoint.AFTER_PRODUCE, producer.flush)
        producer.send_offsets_to_transaction(
            self._offsets(transaction), transaction.group, OFFSETS_TIMEOUT_S
        )
        reached(Failpoint.AFTER_OFFSETS, producer.flush)
        if internal:
            reached(Failpoint.INTERNAL_BEFORE_COMMIT, producer.flush)
        began = time.monotonic()
        producer.commit_transaction(COMMIT_TIMEOUT_S)
        if time.monotonic() - began > SLOW_COMMIT_S:
            trusted.doubt.why = "slow commit"
        reached(Failpoint.AFTER_COMMIT)
        if internal:
            reached(Failpoint.INTERNAL_AFTER_COMMIT)
        if ends.keys() != written:
            # Committed, yet not all reports came: learn from the log what is there.
            return TransactionError("_TIMED_OUT", "delivery reports are missing after commit")
        return ends

    def _produce(
        self, producer: Producer, transaction: Transaction
    ) -> tuple[Set[Place], dict[Place, int]]:
        """The places that get events, and the offset of each one's last, once it is reported."""
        ends: dict[Place, int] = {}
        last = {write.place: n for n, write in enumerate(transaction.writes) if write.place}
        # One report per place is enough: offsets within a transaction only grow.
        reporting = {number: place for place, number in last.items()}
        for number, write in enumerate(transaction.writes):
            place = reporting.get(number)
            report = {} if place is None else {"on_delivery": _reporter(place, ends)}
            headers: Any = write.headers if type(write.headers) is list else [*write.headers]
            producer.produce(
                write.topic,
                value=write.value,
                key=write.key,
                partition=write.partition,
                headers=headers,
                **report,
            )
        return last.keys(), ends

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


def _internal_only(transaction: Transaction) -> bool:
    events = [write for write in transaction.writes if write.place]
    return bool(events) and all(("ce_source", b"flexcore/engine") in e.headers for e in events)


def _reporter(place: Place, ends: dict[Place, int]) -> Any:
    def report(error: Any, message: Any) -> None:
        if error is None:
            ends[place] = message.offset()

    return report
