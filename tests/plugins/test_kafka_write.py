"""Rows as records of a topic: read back by a plain consumer; never into a topic of the system."""

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from domain.errors import Invalid
from plugins.outside import Outside
from tests.plugins.running import Bench

pytestmark = pytest.mark.kafka


@pytest.fixture
def bench(tmp_path: Path, kafka: str, kafka_prefix: str) -> Bench:
    return _bench(tmp_path, kafka, f"{kafka_prefix}.")


@pytest.fixture
def topic(kafka: str, kafka_prefix: str) -> str:
    name = f"{kafka_prefix}-rows"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, 1, 1)], operation_timeout=30)[name].result()
    while (
        name not in admin.list_topics(timeout=10).topics
    ):  # the broker learns of it a little later
        time.sleep(0.05)
    return name


def _bench(folder: Path, kafka: str, reserved: str = "flexcore.") -> Bench:
    file = folder / "kafka.json"
    file.write_text(json.dumps({"bootstrap.servers": kafka}))
    return Bench(folder, Outside(kafka_file=file, reserved_topics=reserved))


def _records(kafka: str, topic: str, count: int) -> list[tuple[bytes | None, object, str]]:
    """(key, row, ce_id) of the first records."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "none"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = []
    for message in consumer.consume(count, timeout=20):
        headers = dict(message.headers() or [])
        assert headers["content-type"] == b"application/json"
        found.append((message.key(), json.loads(message.value() or b""), headers["ce_id"].decode()))
    consumer.close()
    return found


def test_rows_become_records_in_their_order(bench: Bench, kafka: str, topic: str) -> None:
    rows = [{"id": "a", "n": 1, "t": "ü"}, {"id": None, "n": 2}, {"id": 7, "n": [1]}]
    output = bench.run("kafka_write", topic=topic, rows=rows, key="id", execution="e", step="s")
    assert output == {"topic": topic, "count": 3}
    assert _records(kafka, topic, 3) == [
        (b"a", rows[0], "e/s/1"),
        (None, rows[1], "e/s/2"),
        (b"7", rows[2], "e/s/3"),
    ]


def test_what_a_repeated_step_writes_again_has_the_same_ids(
    bench: Bench, kafka: str, topic: str
) -> None:
    for _ in range(2):
        bench.run("kafka_write", topic=topic, rows=[{"n": 1}, {"n": 2}])
    ids = [id for _, _, id in _records(kafka, topic, 4)]
    assert ids == ["run/step/1", "run/step/2"] * 2


def test_no_rows_are_no_records(bench: Bench, topic: str) -> None:
    assert bench.run("kafka_write", topic=topic, rows=[]) == {"topic": topic, "count": 0}


def test_ten_thousand_rows_are_all_there(bench: Bench, kafka: str, topic: str) -> None:
    bench.run("kafka_write", topic=topic, rows=[{"n": n} for n in range(10_000)])
    assert [row for _, row, _ in _records(kafka, topic, 10_000)] == [
        {"n": n} for n in range(10_000)
    ]


def test_topics_of_the_system_are_out_of_reach(bench: Bench, kafka_prefix: str) -> None:
    for topic in (f"{kafka_prefix}.execution.events", "__consumer_offsets", "a/b", "ü"):
        failed = bench.refusal("kafka_write", topic=topic, rows=[{"n": 1}])
        assert failed.code == "plugin.bad_config"


def test_a_topic_that_is_not_there_is_not_made(bench: Bench, kafka: str, kafka_prefix: str) -> None:
    nowhere = f"{kafka_prefix}-nowhere"
    failed = bench.refusal("kafka_write", topic=nowhere, rows=[{"n": 1}])
    assert (failed.code, failed.retryable) == ("plugin.no_topic", True)
    assert nowhere not in AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics


def test_a_row_that_is_too_large_is_named(bench: Bench, topic: str) -> None:
    failed = bench.refusal("kafka_write", topic=topic, rows=[{"n": 1}, {"t": "x" * 1_100_000}])
    assert (failed.code, failed.retryable) == ("plugin.bad_data", False)
    assert "row 2" in failed.message


def test_a_broker_that_is_away_is_worth_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.builtin.kafka_write._LOOK_S", 0.5)
    failed = _bench(tmp_path, "127.0.0.1:1").refusal("kafka_write", topic="t", rows=[{"n": 1}])
    assert (failed.code, failed.retryable) == ("plugin.kafka_unavailable", True)


def test_steps_without_a_broker_say_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="FLEXCORE__STEPS__KAFKA__BOOTSTRAP"):
        Bench(tmp_path).run("kafka_write", topic="t", rows=[])
