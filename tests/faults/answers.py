"""Reads every answer during a run, and knows what is still outstanding."""

import threading
import time
import uuid
from collections import Counter
from dataclasses import replace
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from schemas.codec import Codec
from streams.answers import ACCEPTED, Answer, read_outcome
from streams.broker_wait import WITHIN_S, until_answered
from streams.connection import Connection
from streams.kafka_group import KafkaGroup
from streams.records import header_map, text
from streams.topics import Topics, partition_of
from tests.faults.history import History, Identity, Operation


class Board:
    """What clients and nemesis share: outstanding commands, known versions, answers by process."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._lock = threading.Lock()
        self._outstanding: dict[tuple[Identity, str], Operation] = {}
        self._asked: dict[tuple[Identity, str], Operation] = {}
        self._versions: dict[str, int] = {}
        self._waiting: Counter[str] = Counter()
        self._by_pid: Counter[int] = Counter()
        self._accepted = self._answers = 0
        self._by_place: Counter[tuple[int, str, int]] = Counter()
        self._foreign: dict[str, str] = {}
        self._heard: dict[int, tuple[float, float]] = {}

    def sent(self, operation: Operation) -> None:
        """A command is on its way."""
        content = operation.identity, operation.hash
        with self._lock:
            if content not in self._asked:
                self._asked[content] = self._outstanding[content] = operation
                self._waiting[operation.aggregate] += 1

    def lost(self, operation: Operation) -> None:
        """A command was never delivered."""
        with self._lock:
            self._settle((operation.identity, operation.hash))

    def answered(self, answer: Answer, pid: int) -> Operation | None:
        """Take an answer; returns what it answers."""
        identity = answer.identity
        content = (identity.context, identity.aggregate_id, identity.command_id), answer.hash
        partition = partition_of(identity.aggregate_id, self._partitions)
        with self._lock:
            self._answers += 1
            self._hear(pid)
            if self._settle(content):
                self._by_pid[pid] += 1
                self._by_place[pid, identity.context, partition] += 1
            self._accepted += answer.status == ACCEPTED
            if answer.versions:
                known = self._versions.get(identity.aggregate_id, 0)
                self._versions[identity.aggregate_id] = max(known, answer.versions[-1])
            return self._asked.get(content)

    def _hear(self, pid: int) -> None:
        now = time.monotonic()
        last, longest = self._heard.get(pid, (now, 0.0))
        self._heard[pid] = now, max(longest, now - last)

    def longest_silence(self, pid: int) -> float:
        """Seconds between two answers of a process that is still at work."""
        return self._heard.get(pid, (0.0, 0.0))[1]

    def _settle(self, content: tuple[Identity, str]) -> bool:
        operation = self._outstanding.pop(content, None)
        if operation is not None:
            self._waiting[operation.aggregate] -= 1
        return operation is not None

    def expect_foreign(self, command_id: str, payload: str = "") -> None:
        """A command that no client of ours sends; what it asks for is taken from its answer."""
        with self._lock:
            self._foreign[command_id] = payload

    def foreign(self, command_id: str) -> str | None:
        """The payload of a foreign command, `None` where it is none."""
        return self._foreign.get(command_id)

    @property
    def outstanding(self) -> list[Operation]:
        with self._lock:
            return list(self._outstanding.values())

    @property
    def unanswered(self) -> int:
        """How many commands are outstanding."""
        return len(self._outstanding)

    @property
    def accepted(self) -> int:
        return self._accepted

    @property
    def answers(self) -> int:
        with self._lock:
            return self._answers

    def version(self, aggregate: str) -> int:
        """The last version of an aggregate that an answer told of."""
        return self._versions.get(aggregate, 0)

    def at_rest(self, aggregate: str) -> bool:
        """Whether nothing that was asked of an aggregate is outstanding."""
        return not self._waiting[aggregate]

    def answers_of(self, pid: int) -> int:
        """How many commands a process was the first to answer."""
        return self._by_pid[pid]

    def answers_by_others(self, pid: int, places: frozenset[tuple[str, int]] | None = None) -> int:
        """First answers of all processes but this one, for all places or for some."""
        with self._lock:
            return sum(
                count
                for (who, *place), count in self._by_place.items()
                if who != pid and (places is None or tuple(place) in places)
            )


class AnswerReader(threading.Thread):
    """One read_committed consumer of the outcomes, from their end at `start` on."""

    def __init__(
        self,
        connection: Connection,
        topics: Topics,
        codec: Codec,
        partitions: int,
        board: Board,
        history: History,
    ) -> None:
        super().__init__(name="answers", daemon=True)
        self._codec = codec
        self._board = board
        self._history = history
        self._stopping = threading.Event()
        self.failure: BaseException | None = None
        self._consumer = Consumer(
            connection.client(
                group_id=f"faults-{uuid.uuid4().hex[:8]}",
                isolation_level="read_committed",
                enable_auto_commit=False,
                fetch_wait_max_ms=50,
                fetch_queue_backoff_ms=5,
            )
        )
        places = {("outcomes", number): topics.outcomes for number in range(partitions)}
        group = KafkaGroup(connection, topics)
        # Just after topics are made, not every part of a broker knows their leaders.
        ends = until_answered(lambda: group.ends(places), time.monotonic() + WITHIN_S)
        self._consumer.assign(
            [TopicPartition(topics.outcomes, number, end) for (_, number), end in ends.items()]
        )

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                first = self._consumer.poll(0.1)
                for message in [] if first is None else [first, *self._consumer.consume(1_000, 0)]:
                    if message.error() is None:
                        self._take(message)
        except Exception as error:
            # A run without its answers would look like one whose commands were lost.
            self.failure = error
        finally:
            self._consumer.close()

    def stop(self) -> None:
        """End reading. Raises what ended it before."""
        self._stopping.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def _take(self, message: Any) -> None:
        headers = header_map(message.headers())
        answer = read_outcome(headers, message.value(), self._codec)
        tail = text(headers, "ce_source").rpartition("/")[2]
        pid = int(tail) if tail.isdecimal() else 0
        asked = self._board.answered(answer, pid)
        if asked is None:
            asked = self._foreign(answer)
        self._history.add(
            replace(
                _unasked(answer) if asked is None else asked,
                phase="ok" if answer.status == ACCEPTED else "fail",
                t=time.time(),
                versions=answer.versions,
                code=answer.error_code,
                pid=pid,
                place=f"{message.partition()}@{message.offset()}",
                sent=0.0 if asked is None else asked.t,
            )
        )

    def _foreign(self, answer: Answer) -> Operation | None:
        """What somebody else asked, which is told by its answer alone."""
        payload = self._board.foreign(answer.identity.command_id)
        if payload is None:
            return None
        asked = replace(_unasked(answer), op="foreign", t=time.time(), payload=payload)
        self._history.add(asked)
        return asked


def _unasked(answer: Answer) -> Operation:
    """What is known of a command that is answered, yet was never sent."""
    identity = answer.identity
    return Operation(
        op="",
        phase="invoke",
        t=0.0,
        client=-1,
        context=identity.context,
        aggregate=identity.aggregate_id,
        command_id=identity.command_id,
        hash=answer.hash,
    )
