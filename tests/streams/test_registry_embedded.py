"""The embedded registry on a real broker: one writer at a time, read to the true end."""

import json
import threading
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from confluent_kafka import Producer

from domain.errors import NotFound, Unavailable
from schemas import catalogue
from schemas.codec import Codec
from schemas.outcome import Outcome
from streams import embedded_registry, topics_admin
from streams.connection import Connection
from streams.embedded_registry import EmbeddedRegistry
from streams.registry import load_registry, record_subjects
from streams.topics import Topics

pytestmark = pytest.mark.kafka

SUBJECT = "notes-value"
NOTE = json.dumps({"type": "record", "name": "Note", "fields": [{"name": "t", "type": "string"}]})
ANSWER = Outcome("p1", (1, 2), "pipeline/0@7", "", "")


@pytest.fixture
def connection(kafka: str) -> Connection:
    return Connection(kafka)


@pytest.fixture
def topics(connection: Connection, kafka_prefix: str) -> Topics:
    topics = Topics(kafka_prefix)
    topics_admin.apply(connection, topics, partitions=1)
    return topics


def test_every_record_has_an_id_under_its_subject(connection: Connection, topics: Topics) -> None:
    registry = load_registry(connection, topics)
    assert registry.ids().keys() == catalogue.records().keys()
    assert registry.subjects() == sorted(record_subjects(topics))
    created = f"{topics.prefix}.pipeline.events-flexcore.pipeline.PipelineCreated"
    latest = registry.version(created, "latest")
    assert latest.version == 1
    assert registry.schema(latest.id) == catalogue.committed("flexcore.pipeline.PipelineCreated")


def test_two_processes_agree_on_the_bytes(connection: Connection, topics: Topics) -> None:
    written = load_registry(connection, topics).codec().encode(ANSWER)
    assert load_registry(connection, topics).codec().decode(written) == ANSWER


def test_services_do_not_start_on_schemas_that_nobody_registered(
    connection: Connection, topics: Topics
) -> None:
    registry = load_registry(connection, topics)
    registry.topics = Topics("elsewhere")
    with pytest.raises(Unavailable, match=r"not registered.*`flexcore topics apply`"):
        registry.codec()


def test_a_subject_that_is_not_there_is_not_found(connection: Connection, topics: Topics) -> None:
    with pytest.raises(NotFound) as refused:
        load_registry(connection, topics).version("nobody", "latest")
    assert refused.value.code == "schema.not_found"


def test_an_id_registered_after_the_start_is_found_in_the_log(
    connection: Connection, topics: Topics
) -> None:
    reader = load_registry(connection, topics)
    (note,) = load_registry(connection, topics).register({SUBJECT: NOTE})
    assert reader.schema(note.id) == NOTE
    assert reader.versions(SUBJECT) == [1]


def test_made_up_ids_ask_the_broker_only_so_often(connection: Connection, topics: Topics) -> None:
    clock = Clock()
    reader = EmbeddedRegistry(connection, topics, clock=clock)
    assert reader.schema(4_000_000) is None
    (note,) = load_registry(connection, topics).register({SUBJECT: NOTE})
    assert reader.schema(note.id) is None, "asked a moment ago, so the answer stands a little"
    clock.now += embedded_registry.LOOK_AGAIN_S
    assert reader.schema(note.id) == NOTE


def test_many_who_register_at_once_agree(connection: Connection, topics: Topics) -> None:
    registries = [EmbeddedRegistry(connection, topics) for _ in range(4)]
    schemas = [{f"s{i}": f'{{"type": "fixed", "name": "F{i}", "size": 1}}'} for i in range(4)]

    in_threads([partial(r.register, s) for r, s in zip(registries, schemas, strict=True)])

    seen = load_registry(connection, topics)
    ids = [seen.version(f"s{i}", 1).id for i in range(4)]
    assert sorted(ids) == list(range(min(ids), min(ids) + 4)), "no id was given twice"
    assert [seen.versions(f"s{i}") for i in range(4)] == [[1]] * 4


def test_a_writer_that_died_in_its_transaction_is_fenced_and_unseen(
    connection: Connection, topics: Topics
) -> None:
    writer = EmbeddedRegistry(connection, topics)
    dead = Producer(connection.client(transactional_id=f"{topics.prefix}-registry"))
    dead.init_transactions(30)
    dead.begin_transaction()
    half = {"subject": SUBJECT, "version": 1, "id": 99, "schema": '"int"'}
    dead.produce(topics.schemas, key=f"{SUBJECT}/1", value=json.dumps(half), partition=0)
    dead.flush(10)

    (note,) = writer.register({SUBJECT: NOTE})

    seen = load_registry(connection, topics)
    assert (note.version, seen.version(SUBJECT, 1).schema) == (1, NOTE)
    assert seen.schema(99) is None


def test_garbage_on_the_schemas_topic_is_passed_over(
    connection: Connection, topics: Topics
) -> None:
    foreign = Producer(connection.client())
    for value in (
        b"\xff",
        b"[]",
        b"{}",
        b'{"subject": "s", "version": 1, "id": 9, "schema": "{"}',
        None,
    ):
        foreign.produce(topics.schemas, key=b"garbage", value=value, partition=0)
    assert foreign.flush(10) == 0

    registry = load_registry(connection, topics)

    assert registry.ids().keys() == catalogue.records().keys()
    assert registry.versions("s") == []


def test_a_foreign_record_with_a_newer_writers_schema_is_read(
    connection: Connection, topics: Topics
) -> None:
    """A writer whose schema has one field more, with a default, registered after our start."""
    codec = load_registry(connection, topics).codec()
    newer = json.loads(catalogue.committed("flexcore.outcome.Outcome"))
    newer["fields"].append({"name": "hint", "type": "string", "default": ""})
    subject = f"{topics.outcomes}-flexcore.outcome.Outcome"
    (version,) = load_registry(connection, topics).register({subject: json.dumps(newer)})
    assert version.version == 2

    ours = Codec({"flexcore.outcome.Outcome": version.id}).encode(ANSWER)
    assert codec.decode(ours + b"\x08hint") == ANSWER


def test_a_missing_schemas_topic_says_what_to_run(
    connection: Connection, kafka_prefix: str
) -> None:
    with pytest.raises(Unavailable, match="`flexcore topics apply`") as refused:
        EmbeddedRegistry(connection, Topics(kafka_prefix), within_s=0.2)
    assert refused.value.code == "topics.wrong"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def in_threads(calls: Sequence[Callable[[], object]]) -> None:
    failures: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:  # reported by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
