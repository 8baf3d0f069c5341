"""Which index a worker trusts, and what it says while the index is behind."""

from pathlib import Path

import pytest
from confluent_kafka import Producer

from services import worker_index
from services.worker_index import Behind, drop_what_the_log_lost, open_index
from streams import topics_admin
from streams.connection import Connection
from streams.following import Following
from streams.lmdb_stream_index import LmdbStreamIndex
from streams.memory_stream_index import MemoryStreamIndex
from streams.topics import Topics
from tests.stack.isolation import delete_topics

PARTITIONS = 2
EVERYTHING = Following(range(PARTITIONS), everything=True)


def test_a_partition_that_read_further_than_the_log_reaches_is_dropped(tmp_path: Path) -> None:
    index = LmdbStreamIndex(tmp_path, partitions=PARTITIONS, log_id="log")
    for partition in range(PARTITIONS):
        index.advance("pipeline", partition, 10)
        index.advance("outcomes", partition, 5)
    ends = {("pipeline", 0): 9, ("outcomes", 0): 5, ("pipeline", 1): 10, ("outcomes", 1): 6}
    drop_what_the_log_lost(index, ends)
    assert [index.position("pipeline", number) for number in (0, 1)] == [0, 10]
    assert [index.position("outcomes", number) for number in (0, 1)] == [0, 5]
    index.close()


def test_it_tells_how_much_of_what_was_there_at_the_start_is_read() -> None:
    index = MemoryStreamIndex()
    index.advance("pipeline", 0, 100)
    ends = {("pipeline", 0): 200, ("pipeline", 1): 100, ("outcomes", 0): 0}
    behind = Behind(index, ends, EVERYTHING)
    assert behind.text() == "0 %"
    index.advance("pipeline", 1, 86)
    assert behind.text() == "43 %"
    index.advance("pipeline", 0, 300)
    index.advance("pipeline", 1, 100)
    assert behind.text() == "current"


def test_it_catches_up_as_long_as_it_gets_on(monkeypatch: pytest.MonkeyPatch) -> None:
    index = MemoryStreamIndex()
    behind = Behind(index, {("pipeline", 0): 200}, EVERYTHING)
    assert behind.catches_up()
    monkeypatch.setattr(worker_index, "STANDSTILL_S", 0.0)
    assert not behind.catches_up(), "what stands still is not waited for"
    monkeypatch.undo()
    index.advance("pipeline", 0, 199)
    assert behind.catches_up()
    index.advance("pipeline", 0, 200)
    assert not behind.catches_up()


def test_what_is_not_followed_is_not_waited_for() -> None:
    index, following = MemoryStreamIndex(), Following([0])
    ends = {("pipeline", 1): 50, ("execution", 0): 50, ("execution", 1): 100, ("outcomes", 1): 100}
    behind = Behind(index, ends, following)
    index.advance("pipeline", 1, 50)
    assert (behind.text(), behind.catches_up()) == ("50 %", True)
    index.advance("execution", 0, 50)
    assert (behind.text(), behind.catches_up()) == ("current", False)
    following.follow([1])
    assert (behind.text(), behind.catches_up()) == ("0 %", True)
    index.advance("execution", 1, 100)
    assert behind.text() == "50 %"


@pytest.mark.kafka
def test_files_of_a_partition_are_read_on_before_the_group_says_anything(
    kafka: str, kafka_prefix: str, tmp_path: Path
) -> None:
    connection, topics = Connection(kafka), Topics(kafka_prefix)
    topics_admin.apply(connection, topics, partitions=PARTITIONS)

    def followed() -> frozenset[int]:
        index, following, _ = open_index(tmp_path, connection, topics, PARTITIONS, everything=False)
        index.advance("pipeline", 0, 0)
        index.close()
        return following.numbers

    producer = Producer(connection.client())
    producer.produce(topics.events("execution"), b"v", b"a#000000000001", partition=1)
    assert producer.flush(10) == 0
    assert followed() == frozenset()
    index, _, _ = open_index(tmp_path, connection, topics, PARTITIONS, everything=False)
    index.advance("execution", 1, 1)
    index.close()
    assert followed() == {1}


@pytest.mark.kafka
def test_a_kept_index_is_of_these_topics_alone(
    kafka: str, kafka_prefix: str, tmp_path: Path
) -> None:
    connection, topics = Connection(kafka), Topics(kafka_prefix)

    def made() -> None:
        topics_admin.apply(connection, topics, partitions=PARTITIONS)
        producer = Producer(connection.client())
        producer.produce(topics.events("pipeline"), b"v", b"a#000000000001", partition=0)
        assert producer.flush(10) == 0

    def position() -> int:
        index, _, behind = open_index(tmp_path, connection, topics, PARTITIONS)
        assert behind.text() == ("current" if index.position("pipeline", 0) else "0 %")
        found = index.position("pipeline", 0)
        index.advance("pipeline", 0, 1)
        index.close()
        return found

    made()
    assert [position(), position()] == [0, 1]
    delete_topics(kafka, kafka_prefix)
    made()
    assert position() == 0
