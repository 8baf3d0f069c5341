"""A producer that may have sent its last EndTxn twice is replaced; a call that hangs is given up."""

import gc
import secrets
import threading
from collections.abc import Iterator

import orjson
import pytest
from confluent_kafka import Producer

from domain.definition import Definition, OnError, Step
from domain.pipeline.pipeline import CreatePipeline
from streams import kafka_writer, topics_admin
from streams.connection import Connection
from streams.error_table import TransactionError
from streams.kafka_writer import KafkaWriter
from streams.topics import Topics, partition_of
from streams.turn import Transaction
from tests.faults.workers import until
from tests.stack.isolation import delete_topics
from tests.streams.laned import Laned, laned

pytestmark = pytest.mark.kafka

PARTITIONS = 2
WITHIN_S = 60.0
DEFINITION = Definition((Step("a", "flexcore.x", (), OnError.FAIL, None, None, None, "{}"),))


@pytest.fixture(scope="module")
def running(kafka: str) -> Iterator[Laned]:
    topics = Topics(f"t{secrets.token_hex(4)}")
    topics_admin.apply(Connection(kafka), topics, partitions=PARTITIONS)
    with laned(Connection(kafka), topics, PARTITIONS) as lane:
        yield lane
    delete_topics(kafka, topics.prefix)


def create(running: Laned) -> None:
    """Send a command and wait until its event is read back."""
    pipeline_id = f"p-{secrets.token_hex(6)}"
    producer = Producer(running.connection.client(enable_idempotence=True))
    producer.produce(
        running.topics.commands("pipeline"),
        key=pipeline_id.encode(),
        value=running.codec.encode(CreatePipeline(pipeline_id, "Name", "", DEFINITION)),
        partition=partition_of(pipeline_id, PARTITIONS),
        headers=[("ce_id", f"00000000-0000-4000-8000-{secrets.token_hex(6)}".encode())],
    )
    producer.flush()
    found = running.tailer.wait_read(
        lambda: running.index.last_version("pipeline", pipeline_id) == 1, WITHIN_S
    )
    assert found


def statistics(disconnects: int) -> str:
    return orjson.dumps({"brokers": {"b": {"disconnects": disconnects}}}).decode()


def test_a_cut_connection_makes_new_producers_before_the_next_transaction(running: Laned) -> None:
    create(running)
    before, recycled = running.writer._producers, running.writer.recycled
    for disconnects in (0, 1):
        before[0].doubt.on_statistics(statistics(disconnects))
    create(running)
    assert running.writer.recycled == recycled + 1
    assert not set(map(id, running.writer._producers)) & set(map(id, before))


@pytest.fixture
def alone(running: Laned) -> Iterator[KafkaWriter]:
    """A writer of its own, while nobody looks for cycles, as in a worker."""
    gc.collect()
    gc.disable()
    writer = KafkaWriter(running.connection, running.topics, f"alone-{secrets.token_hex(3)}")
    writer.connect()
    yield writer
    gc.enable()


def producers() -> int:
    return sum(isinstance(one, Producer) for one in gc.get_objects())


def test_producers_that_are_not_trusted_any_more_are_destroyed(alone: KafkaWriter) -> None:
    before = producers()
    for _ in range(3):
        alone.discard()
        alone.connect()
    until(lambda: producers() == before, WITHIN_S, "the end of the old producers")


def test_a_transaction_that_fails_does_not_hold_its_producer(
    alone: KafkaWriter, running: Laned
) -> None:
    before = producers()
    place = "pipeline", 0
    transaction = Transaction([], {place: 0}, {place: ""}, b"no group")
    for _ in range(3):
        assert isinstance(alone.run(transaction), TransactionError)
        alone.discard()
        alone.connect()
    until(lambda: producers() == before, WITHIN_S, "the end of the old producers")


def test_a_slow_commit_is_doubtful_too(running: Laned, monkeypatch: pytest.MonkeyPatch) -> None:
    create(running)
    recycled = running.writer.recycled
    monkeypatch.setattr(kafka_writer, "SLOW_COMMIT_S", 0.0)
    create(running)
    monkeypatch.undo()
    create(running)
    assert running.writer.recycled > recycled


def test_a_call_that_never_returns_is_given_up_and_the_command_is_judged_again(
    running: Laned, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(running)
    hanging, released, transact = running.writer.hanging, threading.Event(), KafkaWriter._transact
    calls: list[int] = []

    def hang_once(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            released.wait(WITHIN_S)
        return transact(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(kafka_writer, "HANGING_S", 0.5)
    monkeypatch.setattr(KafkaWriter, "_transact", hang_once)
    create(running)
    assert running.writer.hanging == hanging + 1
    # The old call goes on at last; its producer is shut out.
    released.set()
    create(running)
    assert running.logic.repaired == 0
