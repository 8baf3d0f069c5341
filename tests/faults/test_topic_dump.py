"""The dump of the topics tells what is committed from what is not."""

import pytest
from confluent_kafka import Producer

from domain.pipeline.pipeline import PipelineActivated
from streams import topics_admin
from streams.connection import Connection
from streams.kafka_writer import transactional_producer
from streams.registry import load_registry
from streams.topics import Topics, event_key, partition_of
from tests.faults import topic_dump
from tests.faults.running import PARTITIONS
from tests.faults.test_takeover import AT
from tests.faults.topic_reader import TopicReader

pytestmark = pytest.mark.kafka


@pytest.fixture
def place(kafka: str, kafka_prefix: str) -> tuple[Connection, Topics]:
    """Topics of this test alone."""
    connection, topics = Connection(kafka), Topics(kafka_prefix)
    topics_admin.apply(connection, topics, partitions=PARTITIONS)
    return connection, topics


def activated(place: tuple[Connection, Topics], producer: Producer, name: str) -> None:
    """Write an event."""
    connection, topics = place
    codec = load_registry(connection, topics, None).codec()
    producer.produce(
        topics.events("pipeline"),
        key=event_key(name, 1),
        value=codec.encode(PipelineActivated(name, "anonymous", AT, "")),
        partition=partition_of(name, PARTITIONS),
    )


def test_what_was_aborted_is_told_from_what_was_committed(
    place: tuple[Connection, Topics],
) -> None:
    producer = transactional_producer(place[0], f"{place[1].prefix}-dump")
    for name, end in (
        ("kept", producer.commit_transaction),
        ("aborted", producer.abort_transaction),
    ):
        producer.begin_transaction()
        activated(place, producer, name)
        producer.flush(30)
        end(30)
    codec = load_registry(*place, None).codec()
    dump = topic_dump.take(*place, codec, PARTITIONS)
    assert [event.aggregate for event in dump.events] == ["kept"]
    assert [event.aggregate for event in dump.aborted] == ["aborted"]
    assert dump.stuck == []


def test_a_transaction_left_open_is_named(place: tuple[Connection, Topics]) -> None:
    producer = transactional_producer(place[0], f"{place[1].prefix}-open")
    producer.begin_transaction()
    activated(place, producer, "open")
    producer.flush(30)
    reader = TopicReader(*place, PARTITIONS, within_s=2.0)
    topic = place[1].events("pipeline")
    assert reader.read(topic, "read_committed") == []
    assert reader.stuck == [f"{topic}/{partition_of('open', PARTITIONS)} short of 1"]
    producer.abort_transaction(30)
