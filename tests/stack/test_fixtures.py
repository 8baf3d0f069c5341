"""The fixtures give working, isolated servers."""

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.stack.isolation import delete_topics


@pytest.mark.kafka
def test_a_test_finds_a_serving_kafka(kafka: str) -> None:
    assert AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).brokers


@pytest.mark.kafka
def test_a_prefix_takes_its_topics_with_it(kafka: str, kafka_prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([NewTopic(f"{kafka_prefix}.events", 1, 1)]).values():
        future.result()

    delete_topics(kafka, kafka_prefix)

    assert f"{kafka_prefix}.events" not in admin.list_topics(timeout=10).topics


@pytest.mark.postgres
def test_a_test_has_a_database_of_its_own(database: str, postgres: str) -> None:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT current_database()").fetchone()

    assert row is not None
    assert database.endswith(f"/{row[0]}")
    assert database != postgres
