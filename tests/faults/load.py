"""An open load of commands from several clients, repeats and reused ids among them.

2 % ExecutePipeline (read ► derived ► sums beside aside) · the rest RevisePipeline, any or exact
5 % of the commands twice (at once or a second later) · 1 % their id again with other content
one thread plays all clients: it sends what is due every now and then, whatever becomes of it
"""

import heapq
import random
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from confluent_kafka import KafkaError, Producer

from domain.definition import Definition, OnError, Step
from domain.execution.messages import ExecutePipeline
from domain.pipeline.pipeline import ActivatePipeline, CreatePipeline, RevisePipeline
from schemas.codec import Codec
from streams.connection import Connection
from streams.records import ExpectedVersion, command_hash, parse_expected_version
from streams.topics import MIB, Topics, partition_of
from tests.faults.answers import Board
from tests.faults.history import History, Operation

CLIENTS = 8
OWN, SHARED = 5, 8
"""Pipelines that one client revises alone, and those that all revise."""
EXECUTIONS, LARGE, TWICE, REUSED = 0.02, 0.05, 0.05, 0.01
"""Shares of the commands; LARGE is that of the executions whose steps take long."""
EXACT, RASH = 0.6, 0.1
"""Shares with an exact expected version, where nothing else is under way and where something is."""
LATER_S = 1.0
DELIVERED_WITHIN_S = 60.0
TICKS_S = (0.0, 0.4)
"""Commands come in clumps, as this long passes between two: in transactions of one and of dozens. One
by one, a hundred a second took half a core for the broker alone, which fewer trials would have had."""
LAG_S = 0.5
"""What could not be sent in time is made up for this far back; beyond it, the load is just lower."""


def _step(name: str, uses: str, needs: tuple[str, ...], config: str) -> Step:
    return Step(name, f"flexcore.{uses}", needs, OnError.FAIL, None, None, None, config)


def definition(file: str) -> Definition:
    """Three steps in a row and one beside them, over a file with the columns `kind` and `value`."""
    rows = '"rows": "${{ steps.%s.output.rows }}"'
    derived = '{%s, "set": {"twice": "row.value * 2"}}' % (rows % "read")
    sums = '{%s, "by": ["kind"], "sum": ["twice"], "count": true}' % (rows % "derived")
    return Definition(
        (
            _step("read", "csv_read", (), f'{{"path": "{file}"}}'),
            _step("derived", "derive", ("read",), derived),
            _step("sums", "aggregate", ("derived",), sums),
            _step("aside", "csv_read", (), '{"path": "small.csv"}'),
        )
    )


REVISED = Definition((_step("read", "csv_read", (), '{"path": "small.csv"}'),))
FILES = {"small.csv": 20, "large.csv": 5_000}
"""Rows of the executed pipelines' files; deriving a column of the large one takes about 0.2 s."""


@dataclass(frozen=True, slots=True)
class _Send:
    """A command as it goes out, first or again."""

    operation: Operation
    value: bytes


@dataclass(slots=True, order=True)
class _Later:
    at: float
    send: _Send = field(compare=False)


class Client:
    """One client of several that share a producer; used by one thread."""

    def __init__(
        self,
        number: int,
        producer: Producer,
        topics: Topics,
        codec: Codec,
        partitions: int,
        board: Board,
        history: History,
        seed: int,
    ) -> None:
        self._number = number
        self._topics, self._codec, self._partitions = topics, codec, partitions
        self._board, self._history = board, history
        self._random = random.Random(f"{seed}/{number}")
        self._producer = producer
        self._later: list[_Later] = []
        self._last: _Send | None = None
        self._names = 0
        self._own = [f"p{number}-{n}" for n in range(OWN)]
        self._shared = [f"shared-{n}" for n in range(SHARED)]

    def prepare(self) -> None:
        """Create this client's pipelines; client 0 also those of all, and activates two."""
        mine = [*self._own, *(self._shared if self._number == 0 else ())]
        for name in mine:
            self._command(CreatePipeline(name, self._name(), "", REVISED), "pipeline", name, "none")
        for file in FILES if self._number == 0 else ():
            name = file.partition(".")[0]
            create = CreatePipeline(name, self._name(), "", definition(file))
            self._command(create, "pipeline", name, "none")
            self._command(ActivatePipeline(name, ""), "pipeline", name, "1")

    def one(self) -> None:
        """Send the next command, and what is due to be sent again."""
        self._one()
        while self._later and self._later[0].at <= time.monotonic():
            self._send(heapq.heappop(self._later).send)

    def last(self) -> None:
        """Send all that waits to be sent again."""
        while self._later:
            self._send(heapq.heappop(self._later).send)

    def _one(self) -> None:
        if self._random.random() < EXECUTIONS:
            execution_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
            pipeline = "large" if self._random.random() < LARGE else "small"
            command: Any = ExecutePipeline(execution_id, pipeline, None, 0, "{}")
            sent = self._command(command, "execution", execution_id, "any")
            other: Any = replace(command, input_json='{"other": true}')
        else:
            name = self._random.choice(self._random.choice((self._own, self._shared)))
            command = RevisePipeline(name, self._name(), "", REVISED)
            sent = self._command(command, "pipeline", name, self._expected(name))
            other = replace(command, name=self._name())
        self._again(sent, other)

    def _expected(self, name: str) -> str:
        """Any or exact; a version that others are about to change only now and then."""
        share = EXACT if self._board.at_rest(name) else RASH
        return str(self._board.version(name)) if self._random.random() < share else "any"

    def _again(self, sent: _Send, other: Any) -> None:
        chance = self._random.random()
        if chance < TWICE / 2:
            self._send(sent)
        elif chance < TWICE:
            heapq.heappush(self._later, _Later(time.monotonic() + LATER_S, sent))
        elif chance < TWICE + REUSED:
            first = sent.operation
            self._command(other, first.context, first.aggregate, "any", first.command_id)

    def _name(self) -> str:
        self._names += 1
        return f"name {self._number}/{self._names}"

    def _command(
        self, command: Any, context: str, aggregate: str, expected: str, command_id: str = ""
    ) -> _Send:
        value = self._codec.encode(command)
        wanted: ExpectedVersion = parse_expected_version(expected)
        given = command_id or str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        operation = Operation(
            op=type(command).__name__,
            phase="invoke",
            t=0.0,
            client=self._number,
            context=context,
            aggregate=aggregate,
            command_id=given,
            hash=command_hash(self._codec.name_of(value), value, wanted),
            expected=expected,
            payload=getattr(command, "name", ""),
        )
        send = self._last = _Send(operation, value)
        self._send(send)
        return send

    def _send(self, send: _Send) -> None:
        operation = replace(send.operation, t=time.time())
        self._history.add(operation)
        self._board.sent(operation)
        self._producer.produce(
            self._topics.commands(operation.context),
            value=send.value,
            key=operation.aggregate.encode(),
            partition=partition_of(operation.aggregate, self._partitions),
            headers=[
                ("ce_id", operation.command_id.encode()),
                ("ce_expectedversion", operation.expected.encode()),
            ],
            on_delivery=lambda error, _: self._delivered(operation, error),
        )

    def _delivered(self, operation: Operation, error: KafkaError | None) -> None:
        if error is not None:
            self._board.lost(operation)
            self._history.add(
                replace(
                    operation, phase="unknown", t=time.time(), code="undelivered", sent=operation.t
                )
            )


class Load:
    """All clients together."""

    def __init__(self, clients: list[Client], producer: Producer, rate: float) -> None:
        self._clients = clients
        self._producer = producer
        self._rate = rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sending; returns when all that was sent is delivered or given up."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        due, turn = time.monotonic(), 0
        pauses = random.Random(self._rate)
        while not self._stopping.wait(pauses.uniform(*TICKS_S)):
            due = max(due, time.monotonic() - LAG_S)
            while due <= time.monotonic():
                self._clients[turn % len(self._clients)].one()
                due, turn = due + 1 / self._rate, turn + 1
            self._producer.poll(0)
        for client in self._clients:
            client.last()
        self._producer.flush(DELIVERED_WITHIN_S)


def producer(connection: Connection) -> Producer:
    """The clients' producer: what it cannot deliver for a minute is told as undelivered."""
    return Producer(
        connection.client(
            enable_idempotence=True,
            # The largest record that a command topic takes, and its frame.
            message_max_bytes=2 * MIB,
            linger_ms=2,
            message_timeout_ms=int(DELIVERED_WITHIN_S * 1000),
            queue_buffering_max_messages=500_000,
        )
    )
