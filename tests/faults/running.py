"""Starts what a run needs (topics, files, workers, clients, reader), heals it, and ends it.

topics ─► workers ─► pipelines ─► load … faults … ─► load ends ─► all answered, all ended ─► dump
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from gateway.settings import Files, Kafka, Settings
from gateway.settings import Worker as WorkerSettings
from schemas.codec import Codec
from streams import topics_admin
from streams.connection import Connection
from streams.records import header_map, text
from streams.registry import load_registry
from streams.topics import Topics
from tests.faults.answers import AnswerReader, Board
from tests.faults.history import History
from tests.faults.load import CLIENTS, FILES, Client, Load
from tests.faults.workers import Workers, until_still

PARTITIONS = 8
_ENDS = ("ExecutionCompleted", "ExecutionFailed")


@dataclass(frozen=True, slots=True)
class Run:
    """A running load against running workers."""

    connection: Connection
    topics: Topics
    codec: Codec
    board: Board
    history: History
    workers: Workers
    load: Load
    reader: AnswerReader

    def heal(self) -> list[str]:
        """End the load and wait until nothing is on its way; returns what did not come to rest."""
        self.load.stop()
        left = []
        try:
            until_still(
                lambda: not self.board.outstanding,
                lambda: self.board.answers,
                "an answer to each command",
            )
        except TimeoutError as error:
            left.append(f"{error}: {len(self.board.outstanding)} outstanding")
        runs = _Runs(self.connection, self.topics)
        try:
            until_still(runs.all_ended, lambda: runs.read, "the end of each execution")
        except TimeoutError as error:
            left.append(f"{error}: {len(runs.open)} open")
        finally:
            runs.close()
        return left


@contextmanager
def running(
    bootstrap: str,
    prefix: str,
    folder: Path,
    *,
    workers: int,
    rate: float,
    seed: int,
    session_s: float,
) -> Iterator[Run]:
    """A run with all pipelines made and the load on its way; everything is gone afterwards."""
    connection, topics = Connection(bootstrap), Topics(prefix)
    topics_admin.apply(connection, topics, partitions=PARTITIONS)
    codec = load_registry(connection, topics, None).codec()
    _write_files(folder / "files", seed)
    settings = Settings(
        kafka=Kafka(bootstrap=bootstrap, prefix=prefix),
        worker=WorkerSettings(session_timeout_s=session_s),
        files=Files(root=folder / "files"),
        data_dir=folder,
    )
    history = History(folder / "history.jsonl")
    board = Board(PARTITIONS)
    reader = AnswerReader(connection, topics, codec, PARTITIONS, board, history)
    clients = [
        Client(n, connection, topics, codec, PARTITIONS, board, history, seed)
        for n in range(CLIENTS)
    ]
    run = Run(
        connection=connection,
        topics=topics,
        codec=codec,
        board=board,
        history=history,
        workers=Workers(settings, workers),
        load=Load(clients, rate),
        reader=reader,
    )
    reader.start()
    try:
        run.workers.start()
        for client in clients:
            client.prepare()
        until_still(lambda: not board.outstanding, lambda: board.answers, "the pipelines")
        run.load.start()
        yield run
    finally:
        run.load.stop()
        run.workers.stop()
        reader.stop()
        history.close()


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
        for message in self._consumer.consume(5_000, 0.2):
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
