"""Real workers on real Kafka: a slice of the fault campaign, repeats of one command, and garbage."""

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import Producer

from domain.pipeline.pipeline import CreatePipeline
from streams.records import command_hash, parse_expected_version
from streams.topics import partition_of
from tests.faults.checker import check
from tests.faults.history import Operation
from tests.faults.load import REVISED
from tests.faults.running import PARTITIONS, Served, served
from tests.faults.topic_reader import TopicReader
from tests.faults.workers import until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ANSWERED_WITHIN_S = 30.0
"""The promise is 2 s on a machine that has time; the time itself is recorded."""


@pytest.fixture
def one_worker(kafka: str, kafka_prefix: str, tmp_path: Path) -> Iterator[Served]:
    """A worker that serves, and the reader of its answers."""
    with served(kafka, kafka_prefix, tmp_path, workers=1, session_s=6.0) as serving:
        yield serving


def create(on: Served, name: str, command_id: str, pipeline_id: str) -> tuple[Operation, bytes]:
    """A command as the history has it, and its bytes."""
    value = on.codec.encode(CreatePipeline(pipeline_id, name, "", REVISED))
    operation = Operation(
        op="CreatePipeline",
        phase="invoke",
        t=time.time(),
        client=0,
        context="pipeline",
        aggregate=pipeline_id,
        command_id=command_id,
        hash=command_hash(on.codec.name_of(value), value, parse_expected_version("")),
        payload=name,
    )
    return operation, value


def send(on: Served, operation: Operation, value: bytes, times: int) -> None:
    """Produce a command `times` times without waiting between."""
    producer = Producer(on.connection.client(enable_idempotence=True, linger_ms=0))
    for _ in range(times):
        on.history.add(operation)
        on.board.sent(operation)
        producer.produce(
            on.topics.commands("pipeline"),
            value=value,
            key=operation.aggregate.encode(),
            partition=partition_of(operation.aggregate, PARTITIONS),
            headers=[("ce_id", operation.command_id.encode())],
        )
    assert producer.flush(60) == 0


def test_a_command_sent_fifty_times_at_once_takes_effect_once(one_worker: Served) -> None:
    command, value = create(one_worker, "the one", str(uuid.uuid4()), "repeated")
    with ThreadPoolExecutor(5) as clients:
        list(clients.map(lambda _: send(one_worker, command, value, 10), range(5)))
    # Behind the fifty in their partition: its answer tells that all of them are judged.
    other, other_value = create(one_worker, "another", command.command_id, "repeated")
    send(one_worker, other, other_value, 1)
    one_worker.all_answered()

    dump = one_worker.dump()
    told = {a.hash: (a.status, a.code, a.versions) for a in dump.answers}
    assert [event.name for event in dump.events] == ["the one"]
    assert told == {
        command.hash: ("accepted", "", (1,)),
        other.hash: ("refused", "command.id_reused", ()),
    }
    assert check(one_worker.history.operations, dump).violations == []


def test_garbage_is_kept_byte_for_byte_and_stops_nobody(
    one_worker: Served, record_property: Callable[[str, object], None]
) -> None:
    pid = one_worker.workers.slots[0].pid
    command, value = create(one_worker, "good", str(uuid.uuid4()), "behind-garbage")
    partition = partition_of(command.aggregate, PARTITIONS)
    bad_id = str(uuid.uuid4()).encode()
    garbage = [
        (b"\xff\xfe no Avro \x00\x80", b"behind-garbage", [("ce_id", bad_id), ("x", b"\x00\xff")]),
        (b"\x00\x00\x00\x00\x01cut", b"behind-garbage", [("ce_id", b"\xff\xff")]),
        (b"", b"\xc3\x28", []),
        (None, None, [("x", b"1"), ("x", b"2")]),
    ]
    producer = Producer(one_worker.connection.client(linger_ms=0))
    topic = one_worker.topics.commands("pipeline")
    for bad, key, headers in garbage:
        producer.produce(topic, value=bad, key=key, headers=headers, partition=partition)
    assert producer.flush(60) == 0
    began = time.monotonic()
    send(one_worker, command, value, 1)
    until(lambda: not one_worker.board.outstanding, ANSWERED_WITHIN_S, "the good one's answer")
    record_property("good_command_answered_s", round(time.monotonic() - began, 3))

    reader = TopicReader(one_worker.connection, one_worker.topics, PARTITIONS)
    dead = reader.read(one_worker.topics.dead, "read_committed")
    assert [
        (m.value(), m.key(), m.headers()[: len(h)])
        for m, (_, _, h) in zip(dead, garbage, strict=True)
    ] == garbage
    assert one_worker.workers.slots[0].pid == pid
    assert one_worker.workers.exits == []
    refused = [a for a in one_worker.dump().answers if a.command_id == bad_id.decode()]
    assert [answer.code for answer in refused] == ["command.unreadable"]
