"""Commands read by librdkafka, handed to Faust a batch at a time.

fence ──read_from──► feed thread: poll ──► batch of its generation ──► Faust's getmany ──► agent

aiokafka decodes records in Python, on two threads that hold the interpreter: a quarter of a
worker's processor time at 256 commands in flight (measured). It keeps the membership of the group.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from aiokafka.structs import ConsumerRecord
from confluent_kafka import Consumer, TopicPartition
from faust.types import TP

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
MAX_WAITING = 2
"""Batches that Faust has not taken yet; more would only wait there instead of in the topic."""


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
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[dict[TP, list[Any]]] = deque()
        self._filled = asyncio.Event()
        self._starts = 0

    def read_from(self, generation: int, offsets: Mapping[Place, int]) -> None:
        """Read these partitions from these offsets on, for this generation; called on Faust's loop."""
        self._starts += 1
        self._filled.set()
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

    async def fetched(self, timeout_s: float) -> dict[TP, list[Any]]:
        """The next batch of each context, as Faust takes records; empty where time is up.

        Who has asked before a rebalance gets nothing of what is read after it: Faust throws away what it
        is handed while records do not flow, and nobody would read it again.
        """
        starts = self._starts
        if not self._waiting:
            self._filled.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._filled.wait()
            except TimeoutError:
                return {}
        return self._waiting.popleft() if starts == self._starts and self._waiting else {}

    def _take(self, records: dict[TP, list[Any]]) -> None:
        self._waiting.append(records)
        self._filled.set()

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
            elif len(self._waiting) >= MAX_WAITING or not self._room():
                self._stopping.wait(ROOM_S)
            elif (first := consumer.poll(POLL_S)) is not None:
                records = self._records([first, *consumer.consume(BATCH, 0)], reading.generation)
                self._loop.call_soon_threadsafe(self._take, records)
        consumer.close()

    def _assign(self, consumer: Consumer, wanted: _Wanted) -> None:
        consumer.assign(
            [
                TopicPartition(self._topics[context], partition, offset)
                for (context, partition), offset in wanted.offsets.items()
            ]
        )

    def _records(self, messages: Sequence[Any], generation: int) -> dict[TP, list[Any]]:
        read: dict[str, list[CommandRecord]] = {}
        for message in messages:
            error = message.error()
            if error is not None:
                log.warning("commands_not_read", code=error.name(), what=error.str())
                continue
            context = self._contexts[message.topic()]
            read.setdefault(context, []).append(
                CommandRecord(
                    context,
                    message.partition(),
                    message.offset(),
                    message.timestamp()[1],
                    message.key(),
                    message.value(),
                    message.headers() or (),
                )
            )
        return {
            TP(self._topics[context], records[-1].partition): [
                _faust_record(self._topics[context], Batch(generation, records))
            ]
            for context, records in read.items()
        }


def _faust_record(topic: str, batch: Batch) -> Any:
    """One record that stands for all of a batch: Faust's price is paid per record."""
    last = batch.records[-1]
    place = topic, last.partition, last.offset, last.timestamp_ms, 0
    return ConsumerRecord(*place, None, batch, None, -1, -1, ())
