"""The same operations on the model and on a real Kafka, so that one can be held against the other.

A side keeps what an operation of a transaction was refused with, and tells it at the end of that
transaction, as librdkafka does.
"""

import time
from typing import Any, Protocol

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as At
from confluent_kafka.admin import (
    AdminClient,
    NewTopic,  # pyright: ignore[reportPrivateImportUsage] - documented there
    OffsetSpec,  # pyright: ignore[reportPrivateImportUsage]
)

from tests.simulation.broker import Broker, BrokerError, Session
from tests.simulation.log import Content

PARTITIONS = 2
JOIN_S = 30.0


class Side(Protocol):
    """`begin` initializes a producer the first time its name is given; partitions are 0 and 1."""

    def init(self, name: str) -> None: ...
    def write(self, name: str, partition: int, value: str) -> None: ...
    def plain(self, partition: int, value: str) -> None: ...
    def send_offset(self, name: str, offset: int, member: str) -> None: ...
    def end(self, name: str, *, commit: bool) -> str: ...
    def seen(self, partition: int) -> list[tuple[int, str]]: ...
    def ends(self, partition: int) -> tuple[int, int]: ...
    def stable(self) -> int | None: ...
    def join(self, member: str) -> None: ...
    def leave(self, member: str) -> None: ...


class ModelSide:
    """The model's broker."""

    def __init__(self) -> None:
        self._broker = Broker(lambda name, record: None)
        self._sessions: dict[str, Session] = {}
        self._added: dict[str, set[int]] = {}
        self._refused: dict[str, str] = {}
        self._metadata: dict[str, tuple[int, str]] = {}

    def init(self, name: str) -> None:
        self._sessions[name] = self._broker.init_producer_id(name.rstrip("'"))
        self._added[name] = set()

    def write(self, name: str, partition: int, value: str) -> None:
        session, log = self._sessions[name], ("t", partition)
        try:
            if partition not in self._added[name]:
                self._broker.add_partition(session, log)
                self._added[name].add(partition)
            self._broker.produce(session, log, [Content(None, value.encode(), ())])
        except BrokerError as error:
            self._refused.setdefault(name, str(error))

    def plain(self, partition: int, value: str) -> None:
        self._broker.append(("t", partition), Content(None, value.encode(), ()))

    def send_offset(self, name: str, offset: int, member: str) -> None:
        generation, known = self._metadata[member]
        try:
            self._broker.commit_offsets(
                self._sessions[name], generation, known, {("t", 0): (offset, "")}
            )
        except BrokerError as error:
            self._refused.setdefault(name, str(error))

    def end(self, name: str, *, commit: bool) -> str:
        refused = self._refused.pop(name, "")
        self._added[name] = set()
        try:
            if not refused:
                self._broker.end_txn(self._sessions[name], commit=commit)
            elif refused != "_FENCED":
                self._broker.end_txn(self._sessions[name], commit=False)
        except BrokerError as error:
            refused = str(error)
        return refused

    def seen(self, partition: int) -> list[tuple[int, str]]:
        records, _ = self._broker.log(("t", partition)).read(0)
        return [(record.offset, (record.value or b"").decode()) for record in records]

    def ends(self, partition: int) -> tuple[int, int]:
        log = self._broker.log(("t", partition))
        return log.end, log.stable_end

    def stable(self) -> int | None:
        if self._broker.pending(("t", 0)):
            return None
        return self._broker.group.offsets.get(("t", 0), (0, ""))[0]

    def join(self, member: str) -> None:
        group = self._broker.group
        for one in list(group.members):
            group.join(group.members[one], one)
        joined = group.join(member, "")
        group.complete((("t", 0), ("t", 1)), lambda order: None)
        self._metadata[member] = group.generation, joined

    def leave(self, member: str) -> None:
        group = self._broker.group
        group.expire(self._metadata[member][1])
        for one in list(group.members):
            group.join(group.members[one], one)
        group.complete((("t", 0), ("t", 1)), lambda order: None)


class RealSide:
    """confluent-kafka, as it comes."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._client: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._topic, self._group = f"{prefix}.t", f"{prefix}-g"
        self._admin = AdminClient(self._client)
        self._admin.create_topics([NewTopic(self._topic, PARTITIONS, 1)])[self._topic].result(10)
        self._producers: dict[str, Producer] = {}
        self._begun: set[str] = set()
        self._refused: dict[str, str] = {}
        self._members: dict[str, Consumer] = {}
        self._metadata: dict[str, Any] = {}

    def init(self, name: str) -> None:
        transactional_id = f"{self._topic}-{name.rstrip(chr(39))}"
        self._producers[name] = Producer({**self._client, "transactional.id": transactional_id})
        self._producers[name].init_transactions(30)

    def _begin(self, name: str) -> Producer:
        producer = self._producers[name]
        if name not in self._begun:
            producer.begin_transaction()
            self._begun.add(name)
        return producer

    def write(self, name: str, partition: int, value: str) -> None:
        try:
            producer = self._begin(name)
            producer.produce(self._topic, value.encode(), partition=partition)
            assert not producer.flush(JOIN_S), "not written"
        except KafkaException as error:
            self._refused.setdefault(name, error.args[0].name())

    def plain(self, partition: int, value: str) -> None:
        producer = Producer(self._client)
        producer.produce(self._topic, value.encode(), partition=partition)
        assert not producer.flush(JOIN_S), "not written"

    def send_offset(self, name: str, offset: int, member: str) -> None:
        try:
            self._begin(name).send_offsets_to_transaction(
                [At(self._topic, 0, offset)], self._metadata[member], 10
            )
        except KafkaException as error:
            self._refused.setdefault(name, error.args[0].name())

    def end(self, name: str, *, commit: bool) -> str:
        producer, refused = self._producers[name], self._refused.pop(name, "")
        self._begun.discard(name)
        try:
            if commit and not refused:
                producer.commit_transaction(10)
            else:
                producer.abort_transaction(10)
        except KafkaException as error:
            refused = refused or error.args[0].name()
        return refused

    def seen(self, partition: int) -> list[tuple[int, str]]:
        consumer = Consumer(
            {
                **self._client,
                "group.id": "reader",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
            }
        )
        consumer.assign([At(self._topic, partition, 0)])
        found: list[tuple[int, str]] = []
        while True:
            message = consumer.poll(10)
            assert message is not None, "neither a record nor the end"
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                consumer.close()
                return found
            assert error is None, error
            found.append((message.offset() or 0, (message.value() or b"").decode()))

    def ends(self, partition: int) -> tuple[int, int]:
        return (
            self._end(partition, IsolationLevel.READ_UNCOMMITTED),
            self._end(partition, IsolationLevel.READ_COMMITTED),
        )

    def _end(self, partition: int, isolation: Any) -> int:
        latest, at = OffsetSpec.latest(), At(self._topic, partition)
        assert latest is not None
        answers = self._admin.list_offsets({at: latest}, isolation_level=isolation)
        return int(answers[at].result(10).offset)

    def stable(self) -> int | None:
        consumer = Consumer(
            {**self._client, "group.id": self._group, "isolation.level": "read_committed"}
        )
        try:
            (found,) = consumer.committed([At(self._topic, 0)], 2)
        except KafkaException:
            return None
        finally:
            consumer.close()
        return max(int(found.offset), 0)

    def join(self, member: str) -> None:
        self._members[member] = Consumer(
            {
                **self._client,
                "group.id": self._group,
                "enable.auto.commit": False,
                "session.timeout.ms": 6_000,
            }
        )
        self._members[member].subscribe([self._topic])
        self._shared()
        self._metadata[member] = self._members[member].consumer_group_metadata()

    def leave(self, member: str) -> None:
        self._members.pop(member).close()
        self._shared()

    def _shared(self) -> None:
        """Wait until the members have divided the partitions among themselves."""
        deadline = time.monotonic() + JOIN_S
        want = {(self._topic, partition) for partition in range(PARTITIONS)}
        while time.monotonic() < deadline:
            found = []
            for consumer in self._members.values():
                consumer.poll(0.1)
                found.append({(at.topic, at.partition) for at in consumer.assignment()})
            if all(found) and sum(map(len, found)) == len(want) and set.union(*found) == want:
                return
        raise AssertionError("the members never agreed")

    def close(self) -> None:
        for consumer in self._members.values():
            consumer.close()
