"""A closed loop of conditional commands: produce, wait for the outcome, produce the next.

1,000 pipelines, each revised with its exact version; clock from produce to outcome
"""

import statistics
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from domain.definition import Definition, OnError, Step
from domain.pipeline.pipeline import CreatePipeline, RevisePipeline
from schemas.codec import Codec
from streams.connection import Connection
from streams.kafka_group import KafkaGroup
from streams.records import header_map
from streams.topics import Topics, partition_of

AGGREGATES = 1_000
WARM_UP_S = 1.5
GIVE_UP_S = 15.0
_DEFINITION = Definition(
    (Step("read", "flexcore.csv_read", (), OnError.FAIL, None, None, None, '{"path": "x.csv"}'),)
)


@dataclass(slots=True)
class Run:
    """One measured run; `refused` and `lost` are 0 in a sound one."""

    in_flight: int
    seconds: float
    latencies_ms: list[float] = field(default_factory=list)
    answered: int = 0
    refused: int = 0
    lost: int = 0

    @property
    def rate_per_s(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Load:
    """A client of the command and outcome topics; `close` it."""

    def __init__(
        self, connection: Connection, topics: Topics, codec: Codec, partitions: int
    ) -> None:
        self._topics, self._codec, self._partitions = topics, codec, partitions
        self._producer = Producer(connection.client(enable_idempotence=True, linger_ms=0))
        self._consumer = Consumer(
            connection.client(
                group_id=f"bench-{uuid.uuid4().hex[:8]}",
                isolation_level="read_committed",
                enable_auto_commit=False,
                fetch_wait_max_ms=100,
                queued_min_messages=20_000,
                fetch_queue_backoff_ms=5,
            )
        )
        places = {("outcomes", n): topics.outcomes for n in range(partitions)}
        ends = KafkaGroup(connection, topics).ends(places)
        self._consumer.assign(
            [TopicPartition(topics.outcomes, n, end) for (_, n), end in ends.items()]
        )
        self._run_id = uuid.uuid4().hex[:8]
        self._versions = [0] * AGGREGATES
        self._sent: dict[bytes, tuple[int, float]] = {}
        self._number = 0

    def close(self) -> None:
        self._consumer.close()

    @property
    def committed(self) -> int:
        """Accepted commands so far, each of which is one event in the log."""
        return sum(self._versions) - len(self._sent)

    @property
    def key_prefix(self) -> bytes:
        """How the keys of all events of this load begin."""
        return f"bench-{self._run_id}-".encode()

    def prepare(self) -> None:
        """Create the pipelines; their first answers also wait for a worker to be there."""
        run = self.run(AGGREGATES, 0.0, warm_up_s=0.0, at_least=AGGREGATES)
        if run.answered < AGGREGATES or run.refused:
            raise SystemExit(f"no sound start: {run.answered} answered, {run.refused} refused")

    def run(
        self,
        in_flight: int,
        seconds: float,
        *,
        warm_up_s: float = WARM_UP_S,
        at_least: int = 0,
    ) -> Run:
        """Keep `in_flight` commands on their way for `seconds` after a warm-up."""
        run = Run(in_flight, seconds)
        start = time.perf_counter() + warm_up_s
        end, sent = start + seconds, 0
        while True:
            now = time.perf_counter()
            if now < end or sent < at_least:
                while len(self._sent) < in_flight and (now < end or sent < at_least):
                    self._send()
                    sent += 1
            elif not self._sent or now > end + GIVE_UP_S:
                break
            self._producer.poll(0)
            self._take(run, start, end)
        run.lost = len(self._sent)
        self._sent.clear()
        return run

    def _next(self) -> tuple[int, str, int]:
        """(slot, pipeline, version to expect) of the next command."""
        number = self._number % AGGREGATES
        return number, f"bench-{self._run_id}-{number}", self._versions[number]

    def _send(self) -> None:
        number, aggregate_id, version = self._next()
        self._number += 1
        self._versions[number] += 1
        kind: Any = RevisePipeline if version else CreatePipeline
        value = self._codec.encode(kind(aggregate_id, f"name {self._number}", "", _DEFINITION))
        command_id = str(uuid.uuid4()).encode()
        self._sent[command_id] = number, time.perf_counter()
        self._producer.produce(
            self._topics.commands("pipeline"),
            value=value,
            key=aggregate_id.encode(),
            partition=partition_of(aggregate_id, self._partitions),
            headers=[("ce_id", command_id), ("ce_expectedversion", str(version).encode())],
        )

    def _take(self, run: Run, start: float, end: float) -> None:
        first = self._consumer.poll(0.05)
        messages = [first, *self._consumer.consume(2_000, 0)] if first is not None else []
        now = time.perf_counter()
        message: Any
        for message in messages:
            if message.error() is not None:
                continue
            headers = header_map(message.headers())
            sent = self._sent.pop(headers.get("ce_commandid", b""), None)
            if sent is None:
                continue
            run.answered += 1
            run.refused += headers.get("ce_status") != b"accepted"
            if start <= now <= end:
                run.latencies_ms.append((now - sent[1]) * 1000)


def spread(values: list[float]) -> tuple[float, float, float]:
    """(median, lowest, highest)."""
    return statistics.median(values), min(values), max(values)
