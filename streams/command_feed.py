"""Commands read by librdkafka, handed to Faust's agents a batch at a time.

fence ──read_from──► feed thread: poll ──► batch of its generation ──► queue of its context ──► agent

Faust's own way costs two threads that decode in Python and 0.6 ms for each message, a batch or not:
together a quarter of a worker's processor time at 256 commands in flight (measured). Faust keeps the
membership of the group and runs the agents.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, TopicPartition

from streams.connection import Connection
from streams.exit_codes import EXIT_INTERNAL
from streams.topics import Topics
from streams.turn import Place
from streams.verdicts import CommandRecord

log = structlog.get_logger("flexcore.commands")

BATCH = 2_000
POLL_S = 0.05
"""After a rebalance the old poll may last so long before the new partitions are read."""
ROOM_S = 0.002
UNPACKED_BYTES = 100_000_000
"""More than this librdkafka unpacks of no batch, and gives it out as badly compressed: 6 KB can hold it."""
MAX_WAITING = 2
"""Batches that an agent has not taken yet; more would only wait there instead of in the topic."""


class Batch(NamedTuple):
    """Commands of one poll and one context, in offset order within each partition."""

    generation: int
    records: list[CommandRecord]


class _Wanted(NamedTuple):
    generation: int
    offsets: Mapping[Place, int]


_NOTHING = _Wanted(-1, {})


class CommandFeed(threading.Thread):
    """Reads what `read_from` named last, while there is `room`; made on the loop that Faust runs on."""

    def __init__(
        self,
        connection: Connection,
        topics: Topics,
        contexts: Mapping[str, str],
        room: Callable[[], bool],
    ) -> None:
        """`contexts` are those of the command topics, by topic."""
        super().__init__(name="commands", daemon=True)
        self._connection = connection
        self._group = topics.worker_group
        self._contexts = contexts
        self._topics = {context: topic for topic, context in contexts.items()}
        self._room = room
        self._wanted = _NOTHING
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._next: dict[Place, int] = {}
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, asyncio.Queue[Batch]] = {
            context: asyncio.Queue() for context in self._topics
        }

    def read_from(self, generation: int, offsets: Mapping[Place, int]) -> None:
        """Read these partitions from these offsets on, for this generation of the group."""
        self._wanted = _Wanted(generation, offsets)
        self._changed.set()

    def rest(self) -> None:
        """Read nothing, until `read_from`."""
        self._wanted = _NOTHING

    def stop(self) -> None:
        self._stopping.set()
        self._changed.set()
        self.join(10)

    # ── on Faust's loop ──────────────────────────────────────────────────────────────────

    async def batches(self, context: str) -> AsyncIterator[Batch]:
        """The batches of a context, without end; for one agent."""
        while True:
            yield await self._waiting[context].get()

    def _take(self, batches: Mapping[str, Batch]) -> None:
        for context, batch in batches.items():
            self._waiting[context].put_nowait(batch)

    # ── the thread ───────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        try:
            self._run()
        except Exception:
            # Without it no command would be judged: better a restart than silence.
            log.exception("command_feed_died")
            os._exit(EXIT_INTERNAL)

    def _run(self) -> None:
        consumer = Consumer(
            self._connection.client(
                group_id=self._group,
                isolation_level="read_committed",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_queue_backoff_ms=5,
                receive_message_max_bytes=UNPACKED_BYTES,
                queued_min_messages=20_000,
                queued_max_messages_kbytes=16_384,
            )
        )
        reading = _NOTHING
        while not self._stopping.is_set():
            self._changed.clear()
            if reading is not self._wanted:
                reading = self._wanted
                self._assign(consumer, reading)
            if not reading.offsets:
                self._changed.wait()
            elif self._behind() or not self._room():
                self._stopping.wait(ROOM_S)
            elif (first := consumer.poll(POLL_S)) is not None:
                messages = [first, *consumer.consume(BATCH, 0)]
                batches = self._batches(consumer, messages, reading.generation)
                self._loop.call_soon_threadsafe(self._take, batches)
        consumer.close()

    def _behind(self) -> bool:
        return any(waiting.qsize() >= MAX_WAITING for waiting in self._waiting.values())

    def _assign(self, consumer: Consumer, wanted: _Wanted) -> None:
        self._next = dict(wanted.offsets)
        consumer.assign(
            [
                TopicPartition(self._topics[context], partition, offset)
                for (context, partition), offset in wanted.offsets.items()
            ]
        )

    def _batches(
        self, consumer: Consumer, messages: Sequence[Any], generation: int
    ) -> dict[str, Batch]:
        read: dict[str, list[CommandRecord]] = {}
        for message in messages:
            error = message.error()
            if error is None:
                record = self._record(message)
            else:
                log.warning("commands_not_read", code=error.name(), what=error.str())
                if error.code() != KafkaError._BAD_COMPRESSION:
                    continue
                record = self._unread(consumer, message)
            self._next[record.context, record.partition] = record.offset + 1
            read.setdefault(record.context, []).append(record)
        return {context: Batch(generation, records) for context, records in read.items()}

    def _record(self, message: Any) -> CommandRecord:
        return CommandRecord(
            self._contexts[message.topic()],
            message.partition(),
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value(),
            message.headers() or (),
        )

    def _unread(self, consumer: Consumer, message: Any) -> CommandRecord:
        """What stands for a record that is never given out; reading goes on behind it.

        Asked again, librdkafka would try the same one for ever, and its partition stand still.
        """
        context, partition = self._contexts[message.topic()], message.partition()
        offset = max(self._next.get((context, partition), 0), message.offset())
        consumer.seek(TopicPartition(message.topic(), partition, offset + 1))
        what = f"it cannot be unpacked, or into more than {UNPACKED_BYTES} bytes"
        return CommandRecord(context, partition, offset, 0, None, None, (), what)
