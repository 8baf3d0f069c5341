"""`topics apply` makes what is missing once; every service refuses what is not as it should be."""

# pyright: reportPrivateImportUsage=false
# confluent_kafka.admin offers these names without listing them as exported.
import time

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from domain.errors import Unavailable
from streams import topics_admin
from streams.broker_wait import until_answered
from streams.connection import Connection
from streams.topics import Topics
from streams.topics_admin import Change

pytestmark = pytest.mark.kafka


@pytest.fixture
def connection(kafka: str) -> Connection:
    return Connection(kafka)


@pytest.fixture
def topics(kafka_prefix: str) -> Topics:
    return Topics(kafka_prefix)


def made(connection: Connection, topic: NewTopic) -> None:
    admin = AdminClient(connection.client())
    for answer in admin.create_topics([topic], operation_timeout=30).values():
        answer.result()


def test_the_first_apply_makes_every_topic_and_registers_every_schema(
    connection: Connection, topics: Topics
) -> None:
    changes = topics_admin.apply(connection, topics, partitions=3)

    created = [change.name for change in changes if change.what == "created"]
    assert created == [topic.name for topic in topics.table()]
    assert Change("registered", f"{topics.prefix}.outcomes-flexcore.outcome.Outcome") in changes
    assert topics_admin.verify(connection, topics) == 3


def test_a_second_apply_changes_nothing(connection: Connection, topics: Topics) -> None:
    topics_admin.apply(connection, topics, partitions=3)
    assert topics_admin.apply(connection, topics, partitions=3) == []


def test_an_apply_that_was_interrupted_is_completed(connection: Connection, topics: Topics) -> None:
    first, *others = topics.table()
    made(connection, NewTopic(first.name, 3, 1, config=first.settings))

    changes = topics_admin.apply(connection, topics, partitions=3)

    created = [change.name for change in changes if change.what == "created"]
    assert created == [topic.name for topic in others]


def test_topics_have_the_settings_of_the_table(connection: Connection, topics: Topics) -> None:
    topics_admin.apply(connection, topics, partitions=2)
    listed = {row.topic: row for row in topics_admin.listing(connection, topics)}
    for topic in topics.table():
        assert listed[topic.name].settings == topic.settings
        assert listed[topic.name].partitions == (topic.partitions or 2)
        assert listed[topic.name].state == "ok"


def test_the_partition_count_of_the_first_apply_is_kept(
    connection: Connection, topics: Topics
) -> None:
    topics_admin.apply(connection, topics, partitions=3)
    with pytest.raises(Unavailable, match=r"has 3 partitions, not 4.*never changed") as refused:
        topics_admin.apply(connection, topics, partitions=4)
    assert refused.value.code == "topics.wrong"
    assert topics_admin.verify(connection, topics) == 3


def test_a_service_that_finds_no_topics_says_what_to_run(
    connection: Connection, topics: Topics
) -> None:
    with pytest.raises(
        Unavailable, match=r"topics are missing.*`flexcore topics apply`"
    ) as refused:
        topics_admin.verify(connection, topics)
    assert refused.value.code == "topics.wrong"
    assert {row.state for row in topics_admin.listing(connection, topics)} == {"missing"}


def test_a_topic_that_got_more_partitions_is_refused(
    connection: Connection, topics: Topics
) -> None:
    topics_admin.apply(connection, topics, partitions=3)
    dead = topics.dead
    admin = AdminClient(connection.client())
    for answer in admin.create_partitions([NewPartitions(dead, 5)]).values():
        answer.result()
    # A broker's metadata follows what its controller has answered a moment later.
    until_answered(
        lambda: len(admin.list_topics().topics[dead].partitions) == 5 or None,
        time.monotonic() + 30,
    )
    with pytest.raises(Unavailable, match=rf"{dead} has 5 partitions, not 3"):
        topics_admin.verify(connection, topics, within_s=10)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("cleanup.policy", "delete"), ("message.timestamp.type", "CreateTime")],
)
def test_an_event_topic_that_would_lose_or_misdate_events_is_refused(
    connection: Connection, topics: Topics, setting: str, value: str
) -> None:
    events = topics.events("pipeline")
    settings = next(t.settings for t in topics.table() if t.name == events) | {setting: value}
    made(connection, NewTopic(events, 3, 1, config=settings))

    with pytest.raises(Unavailable, match=rf"{events} has {setting}={value}, not"):
        topics_admin.apply(connection, topics, partitions=3)

    wrong = {row.topic: row.state for row in topics_admin.listing(connection, topics)}[events]
    assert wrong.startswith(f"{events} has {setting}={value}")


def test_sizes_and_retention_are_the_operators_to_widen(
    connection: Connection, topics: Topics
) -> None:
    made(connection, NewTopic(topics.dead, 3, 1, config={"retention.ms": "-1"}))
    topics_admin.apply(connection, topics, partitions=3)
    assert topics_admin.verify(connection, topics) == 3


def test_more_copies_than_brokers_is_refused_with_the_brokers_words(
    connection: Connection, topics: Topics
) -> None:
    with pytest.raises(Unavailable, match="could not be created"):
        topics_admin.apply(connection, topics, partitions=1, replication_factor=99)


def test_a_broker_that_is_away_is_waited_for_only_so_long(topics: Topics) -> None:
    nobody = Connection("127.0.0.1:1")
    with pytest.raises(Unavailable, match="does not serve") as refused:
        topics_admin.verify(nobody, topics, within_s=0.1)
    assert refused.value.code == "broker.unavailable"
