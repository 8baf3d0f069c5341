"""Starts what a run needs (topics, files, workers, clients, reader), heals it, and ends it.

topics ─► workers ─► pipelines ─► load … faults … ─► load ends ─► all answered, all ended ─► dump
"""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from gateway.settings import Files, Kafka, Settings
from gateway.settings import Worker as WorkerSettings
from schemas.codec import Codec
from streams import topics_admin
from streams.connection import Connection
from streams.records import header_map, text
from streams.registry import load_registry
from streams.topics import Topics
from tests.faults import topic_dump
from tests.faults.answers import AnswerReader, Board
from tests.faults.fault_client import FaultClient
from tests.faults.history import History
from tests.faults.load import CLIENTS, FILES, Client, Load, producer
from tests.faults.logged import Dump
from tests.faults.workers import Workers, until_still

PARTITIONS = 8
_ENDS = ("ExecutionCompleted", "ExecutionFailed", "ExecutionCancelled")


@dataclass(frozen=True, slots=True)
class Served:
    """Workers that serve, and a reader of every answer."""

    connection: Connection
    producer: Producer
    topics: Topics
    codec: Codec
    folder: Path
    settings: Settings
    board: Board
    history: History
    workers: Workers

    def client(self, number: int, seed: int = 0) -> Client:
        """One more client."""
        return Client(*self._client_parts(number, seed))

    def fault_client(self, number: int, seed: int = 0) -> FaultClient:
        """A client for what no good client does."""
        return FaultClient(*self._client_parts(number, seed))

    def _client_parts(self, number: int, seed: int) -> tuple[Any, ...]:
        kafka = self.producer, self.topics, self.codec, PARTITIONS
        return number, *kafka, self.board, self.history, seed

    def all_answered(self) -> None:
        """Wait until nothing is outstanding. Raises TimeoutError once no more answers come."""
        until_still(
            lambda: not self.board.unanswered,
            lambda: self.board.answers,
            "an answer to each command",
        )

    def dump(self) -> Dump:
        """What the topics hold now."""
        return topic_dump.take(self.connection, self.topics, self.codec, PARTITIONS)


@contextmanager
def served(
    bootstrap: str,
    prefix: str,
    folder: Path,
    *,
    workers: int,
    session_s: float,
    seed: int = 0,
    copies: int = 1,
    bootstraps: Mapping[int, str] | None = None,
) -> Iterator[Served]:
    """Topics, files, ready workers and a reader; processes and threads are gone afterwards.

    `bootstraps` is how single workers reach Kafka, where not as everybody does.
    """
    connection, topics = Connection(bootstrap), Topics(prefix)
    topics_admin.apply(
        connection, topics, partitions=PARTITIONS, replication_factor=copies, within_s=60.0
    )
    codec = load_registry(connection, topics, None).codec()
    _write_files(folder / "files", seed)
    settings = Settings(
        kafka=Kafka(bootstrap=bootstrap, prefix=prefix, replication_factor=copies),
        worker=WorkerSettings(session_timeout_s=session_s),
        files=Files(root=folder / "files"),
        data_dir=folder,
    )
    history = History(folder / "history.jsonl")
    board = Board(PARTITIONS)
    reader = AnswerReader(connection, topics, codec, PARTITIONS, board, history)
    group = Workers(settings, workers, bootstraps)
    sender = producer(connection)
    reader.start()
    try:
        group.start()
        yield Served(connection, sender, topics, codec, folder, settings, board, history, group)
    finally:
        group.stop()
        reader.stop()
        sender.flush(1)
        history.close()


@dataclass(frozen=True, slots=True)
class Run:
    """A running load against running workers."""

    served: Served
    load: Load

    def heal(self) -> list[str]:
        """End the load and wait until nothing is on its way; returns what did not come to rest."""
        self.load.stop()
        left = []
        try:
            self.served.all_answered()
        except TimeoutError as error:
            outstanding = self.served.board.outstanding
            left.append(f"{error}: {len(outstanding)} outstanding")
            for operation in outstanding:
                lost = replace(operation, phase="unknown", t=time.time(), sent=operation.t)
                self.served.history.add(lost)
        runs = _Runs(self.served.connection, self.served.topics)
        try:
            until_still(runs.all_ended, lambda: runs.read, "the end of each execution")
        except TimeoutError as error:
            left.append(f"{error}: {len(runs.open)} open")
        finally:
            runs.close()
        return left


@contextmanager
def running(on: Served, *, rate: float, seed: int) -> Iterator[Run]:
    """A load on its way, with all pipelines made; ended afterwards at the latest."""
    clients = [on.client(number, seed) for number in range(CLIENTS)]
    for client in clients:
        client.prepare()
    on.producer.flush(30)
    on.all_answered()
    assert on.board.accepted, "the pipelines were refused, so everything after would be"
    load = Load(clients, on.producer, rate)
    load.start()
    try:
        yield Run(on, load)
    finally:
        load.stop()


def _write_files(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    numbers = random.Random(seed)
    for name, count in FILES.items():
        rows = (f"{numbers.choice('abcd')},{numbers.randrange(1_000)}\n" for _ in range(count))
        (folder / name).write_text("kind,value\n" + "".join(rows), encoding="utf-8")


class _Runs:
    """Follows the executions until each that was started has ended."""

    def __init__(self, connection: Connection, topics: Topics) -> None:
        topic = topics.events("execution")
        self.open: set[str] = set()
        self.read = 0
        self._consumer = Consumer(
            connection.client(
                group_id=f"{topic}-follow",
                isolation_level="read_committed",
                enable_auto_commit=False,
                enable_partition_eof=True,
                fetch_queue_backoff_ms=5,
            )
        )
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        self._at_end: set[int] = set()

    def all_ended(self) -> bool:
        """Read on; whether every partition was read to its end and no execution is open."""
        messages: list[Any] = self._consumer.consume(5_000, 0.2)
        for message in messages:
            if message.error() is not None:
                self._at_end.add(message.partition())
                continue
            self.read += 1
            headers = header_map(message.headers())
            aggregate, kind = text(headers, "ce_subject"), text(headers, "ce_type")
            if kind.endswith("ExecutionStarted"):
                self.open.add(aggregate)
            elif kind.endswith(_ENDS):
                self.open.discard(aggregate)
        return len(self._at_end) == PARTITIONS and not self.open

    def close(self) -> None:
        self._consumer.close()
