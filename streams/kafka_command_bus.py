"""The command bus over Kafka.

send ─► idempotent producer ─► flexcore.<context>.commands ─► owner
  ▲                                                             │
  └── future ◄── this id and content? ◄── flexcore.outcomes ◄───┘
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import KafkaError, KafkaException, Producer

from domain.errors import FlexCoreError, Limited, Unavailable
from schemas.codec import Codec
from streams.answers import UNAVAILABLE, Answer
from streams.command_bus import (
    MAX_COMMAND_BYTES,
    CommandRequest,
    Content,
    content_of,
    headers_of,
    outcome_unknown,
    too_large,
)
from streams.connection import Connection
from streams.failpoints import Failpoint, reached
from streams.outcome_reader import OutcomeReader
from streams.records import Identity
from streams.topics import MIB, Topics, partition_of

MAX_PENDING = 20_000
"""Commands in flight of one process; at 5,000 answers a second that is a queue of 4 s."""
MESSAGE_TIMEOUT_MS = 8_000
"""A broker that restarts after a kill is back in 3 s; what it did not take by now is given up."""
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Somebody who waits for the answer to one content of one command."""

    identity: Identity
    hash: str
    future: asyncio.Future[Answer]


class KafkaCommandBus:
    """One producer and one reader of all answers per process; lives in one event loop.

    `start` before the first `send`, `close` after the last.
    """

    def __init__(
        self,
        connection: Connection,
        topics: Topics,
        codec: Codec,
        *,
        partitions: int,
        max_pending: int = MAX_PENDING,
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._codec = codec
        self._partitions = partitions
        self._max_pending = max_pending
        self._waiting = 0
        self._pending: dict[str, list[_Waiting]] = {}
        self._reader = OutcomeReader(connection, topics, codec, partitions=partitions)
        self._producer = _producer(connection)
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="command-producer", daemon=True)

    async def start(self, crashed: Callable[[], None]) -> None:
        """Take the ends of the answers, so that none to a later command is missed.

        `crashed` is called on the loop when answers can no longer be read: restart the process.
        Raises Unavailable where the broker does not say the ends in time.
        """
        self._loop = asyncio.get_running_loop()

        def report(_: BaseException) -> None:
            self._loop.call_soon_threadsafe(crashed)

        await asyncio.to_thread(
            self._reader.start, self._pending.__contains__, self._deliver, report
        )
        self._poller.start()

    async def close(self) -> None:
        """Stop both threads; whoever still waits is told that the outcome is unknown."""
        self._stopping.set()
        await asyncio.to_thread(self._reader.close)
        if self._poller.is_alive():
            await asyncio.to_thread(self._poller.join)
        for waiting in [one for several in self._pending.values() for one in several]:
            _settle(waiting.future, outcome_unknown(waiting.identity, 0))

    def check(self) -> None:
        """Raises Unavailable unless broker and reader are there; blocks for 2 s at most."""
        self._reader.check()

    async def send(self, request: CommandRequest, timeout_s: float) -> Answer:
        content = content_of(request, self._codec)
        if self._waiting >= self._max_pending:
            raise Limited(
                "request.too_many",
                f"{self._waiting} commands wait for their answers; send again in a moment",
            )
        waiting = _Waiting(request.identity, content.hash, self._loop.create_future())
        self._remember(waiting)
        try:
            self._produce(request, content, waiting.future)
            reached(Failpoint.API_AFTER_PRODUCE, self._producer.flush)
            async with asyncio.timeout(timeout_s):
                answer = await waiting.future
        except TimeoutError:
            raise outcome_unknown(request.identity, timeout_s) from None
        finally:
            self._forget(waiting)
        if answer.status == UNAVAILABLE:
            raise Unavailable(
                "owner.unavailable",
                answer.error_message or "the owner of this aggregate cannot judge now; try again",
                command_id=request.command_id,
            )
        return answer

    def _remember(self, waiting: _Waiting) -> None:
        self._waiting += 1
        self._pending.setdefault(waiting.identity.command_id, []).append(waiting)

    def _forget(self, waiting: _Waiting) -> None:
        self._waiting -= 1
        left = [w for w in self._pending[waiting.identity.command_id] if w is not waiting]
        if left:
            self._pending[waiting.identity.command_id] = left
        else:
            del self._pending[waiting.identity.command_id]

    # ── out ──────────────────────────────────────────────────────────────────────────────

    def _produce(
        self, request: CommandRequest, content: Content, future: asyncio.Future[Answer]
    ) -> None:
        headers = headers_of(request, content, datetime.now(UTC))
        producer = self._producer

        def undelivered(error: KafkaError | None, _: object) -> None:
            if error is not None:
                self._loop.call_soon_threadsafe(self._undelivered, error, producer, future)

        try:
            producer.produce(
                self._topics.commands(request.context),
                key=request.aggregate_id.encode(),
                value=content.value,
                headers=[*headers],
                partition=partition_of(request.aggregate_id, self._partitions),
                on_delivery=undelivered,
            )
        except BufferError as error:
            raise Limited(
                "request.too_many", "the producer's queue is full; send again in a moment"
            ) from error
        except KafkaException as error:
            raise self._translated(error.args[0], producer) from error

    def _undelivered(
        self, error: KafkaError, producer: Producer, future: asyncio.Future[Answer]
    ) -> None:
        _settle(future, self._translated(error, producer))

    def _translated(self, error: KafkaError, producer: Producer) -> FlexCoreError:
        """What a failure to produce means; after a fatal one the next command has a new producer."""
        if error.fatal() and producer is self._producer:
            self._producer = _producer(self._connection)
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return too_large(MAX_COMMAND_BYTES)
        return Unavailable(
            "broker.unavailable",
            f"Kafka did not take the command ({error.str()}); "
            "send it again with the same id and content",
        )

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(_POLL_S)

    # ── in ───────────────────────────────────────────────────────────────────────────────

    def _deliver(self, answers: list[Answer]) -> None:
        # Called by the reader's thread; futures belong to the loop.
        self._loop.call_soon_threadsafe(self._resolve, answers)

    def _resolve(self, answers: list[Answer]) -> None:
        for answer in answers:
            for waiting in self._pending.get(answer.identity.command_id, ()):
                same = waiting.identity == answer.identity and waiting.hash == answer.hash
                if same and not waiting.future.done():
                    waiting.future.set_result(answer)


def _producer(connection: Connection) -> Producer:
    settings = {
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": 0,
        "message.timeout.ms": MESSAGE_TIMEOUT_MS,
        "message.max.bytes": MIB + 4_096,
        # An answer proves delivery; only failures need a word of their own.
        "delivery.report.only.error": True,
    }
    return Producer(connection.client(**settings))


def _settle(future: asyncio.Future[Answer], error: FlexCoreError) -> None:
    if not future.done():
        future.set_exception(error)
