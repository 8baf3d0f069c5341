"""All events from real topics: what others left there, open transactions, partitions that lag."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Producer

from domain.errors import Unavailable
from services.embedded.kafka import start as start_kafka
from services.embedded.kafka_config import FOR_TESTS
from streams import event_log, topics_admin
from streams.connection import Connection
from streams.event_log import EventLog
from streams.event_store import Place, Selection
from streams.kafka_writer import transactional_producer
from streams.topics import Topics, event_key

pytestmark = pytest.mark.kafka

PARTITIONS = 2
HERE, THERE = 0, 1


class Written:
    """Topics that a test fills itself, one transaction or plain record after the other."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.connection, self.topics = Connection(bootstrap), Topics(prefix)
        topics_admin.apply(self.connection, self.topics, partitions=PARTITIONS)
        self._producer = Producer(self.connection.client(enable_idempotence=True))

    def write(self, partition: int, *keys: bytes, value: bytes | None = b"v") -> None:
        for key in keys:
            self._producer.produce(
                self.topics.events("pipeline"), value, key=key, partition=partition
            )
        assert self._producer.flush(20) == 0

    def events(self, partition: int, aggregate_id: str, *versions: int) -> None:
        self.write(partition, *(event_key(aggregate_id, version) for version in versions))

    def log(self, *, live: bool = False, position: Mapping[Place, int] | None = None) -> EventLog:
        selection = Selection(["pipeline"], position=position or {})
        return EventLog(self.connection, self.topics, selection, partitions=PARTITIONS, live=live)

    def read(self, position: Mapping[Place, int] | None = None) -> list[str]:
        """`aggregate version` of all events up to the present end."""
        with closing(self.log(position=position)) as log:
            return [f"{event.aggregate_id}{event.version}" for event in log]


@pytest.fixture
def written(kafka: str, kafka_prefix: str) -> Written:
    return Written(kafka, kafka_prefix)


def names(log: EventLog) -> Iterator[str]:
    return (f"{event.aggregate_id}{event.version}" for event in log)


def test_nothing_is_read_from_an_empty_log(written: Written) -> None:
    assert written.read() == []


def test_foreign_records_are_passed_over(written: Written) -> None:
    written.events(HERE, "a", 1)
    written.write(HERE, b"no event key")
    written.write(HERE, b"\xff\xfe")
    written.write(HERE, b"")
    written.events(HERE, "a", 2)

    assert written.read() == ["a1", "a2"]


def test_an_event_written_again_stands_behind_its_successors(written: Written) -> None:
    """The feed reads the log; the versions put an aggregate's events in order."""
    written.events(HERE, "a", 1, 2, 3, 2)

    assert written.read() == ["a1", "a2", "a3", "a2"]


def test_a_pruned_event_is_given_without_its_value(written: Written) -> None:
    written.write(HERE, event_key("a", 1), value=None)

    with closing(written.log()) as log:
        assert [event.value for event in log] == [None]


def test_what_was_aborted_is_not_there_and_does_not_hold_the_end_up(written: Written) -> None:
    producer = transactional_producer(written.connection, f"{written.topics.prefix}-aborting")
    written.events(HERE, "a", 1)
    producer.begin_transaction()
    producer.produce(written.topics.events("pipeline"), b"v", key=event_key("a", 2), partition=HERE)
    producer.flush()
    producer.abort_transaction()

    assert written.read() == ["a1"]
    assert written.read(position={("pipeline", HERE): 1}) == []


def test_the_end_is_what_is_written_not_what_is_committed_yet(written: Written) -> None:
    """A reader that took the last stable offset for the end would miss what commits meanwhile."""
    producer = transactional_producer(written.connection, f"{written.topics.prefix}-slow")
    written.events(HERE, "a", 1)
    producer.begin_transaction()
    producer.produce(written.topics.events("pipeline"), b"v", key=event_key("a", 2), partition=HERE)
    producer.flush()
    with closing(written.log()) as log:
        found = [f"{e.aggregate_id}{e.version}" for e in log.chunk() or ()]
        assert log.chunk() == []
        producer.commit_transaction()
        found += names(log)

    assert sorted(found) == ["a1", "a2"]


def test_a_partition_that_lags_behind_does_not_fill_the_memory(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "LONG", 50)
    monkeypatch.setattr(event_log, "SHORT", 10)
    versions = range(1, 1_001)
    written.events(HERE, "a", *versions)
    written.events(THERE, "b", *versions)

    found = written.read()

    assert found == [f"{name}{version}" for name in "ab" for version in versions]


@pytest.mark.slow
def test_a_broker_that_restarts_is_waited_for_and_one_that_stays_away_is_said(
    tmp_path: Path,
) -> None:
    broker = start_kafka(tmp_path, usual_port=None, tuning=FOR_TESTS)
    try:
        written = Written(broker.bootstrap, "restarting")
        written.events(HERE, "a", 1)
        with closing(written.log(live=True)) as log:
            following = names(log)
            assert next(following) == "a1"
            os.kill(broker.pid, signal.SIGKILL)
            broker.wait()
            broker = start_kafka(tmp_path, port=broker.port, usual_port=None, tuning=FOR_TESTS)
            written.events(HERE, "a", 2)
            assert next(following) == "a2"
            broker.stop()
            with pytest.raises(Unavailable, match="away"):
                next(following)
    finally:
        broker.stop()
