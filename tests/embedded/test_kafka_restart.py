"""The embedded Kafka keeps its data and identity over restarts, orderly or not."""

import os
import signal
import socket
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from domain.errors import Unavailable
from services.embedded import jars
from services.embedded.aot import AotCache
from services.embedded.aot_training import train
from services.embedded.kafka import EmbeddedKafka
from services.embedded.kafka import start as start_kafka
from services.embedded.kafka_config import FOR_TESTS

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def start(folder: Path, port: int | None = None) -> EmbeddedKafka:
    return start_kafka(folder, port=port, usual_port=None, tuning=FOR_TESTS)


def write(bootstrap: str, text: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce("kept", text.encode(), partition=0)
    assert producer.flush(20) == 0


def read(bootstrap: str, count: int) -> list[str]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    consumer.assign([TopicPartition("kept", 0, 0)])
    found = [record.value() for record in consumer.consume(count, 20)]
    consumer.close()
    return [value.decode() for value in found if value is not None]


def test_records_survive_a_stop_and_a_kill(tmp_path: Path) -> None:
    broker = start(tmp_path)
    try:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        for future in admin.create_topics([NewTopic("kept", 1, 1)]).values():
            future.result()
        write(broker.bootstrap, "before the stop")
        broker.stop()

        broker = start(tmp_path, broker.port)
        write(broker.bootstrap, "before the kill")
        os.kill(broker.pid, signal.SIGKILL)
        assert broker.wait() == 128 + signal.SIGKILL

        broker = start(tmp_path)
        assert read(broker.bootstrap, 2) == ["before the stop", "before the kill"]
    finally:
        broker.stop()


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(Unavailable, match="another process took its port") as refused,
    ):
        start(tmp_path, server.getsockname()[1])

    assert refused.value.fields["fix"] == "start again, a free port will be used"


def test_another_stacks_broker_on_the_same_port_is_not_taken_for_ours(
    tmp_path: Path, kafka: str
) -> None:
    taken = int(kafka.rpartition(":")[2])

    with pytest.raises(Unavailable, match="another process took its port"):
        start(tmp_path, taken)


def test_a_folder_that_lost_its_identity_is_said_so(tmp_path: Path) -> None:
    start(tmp_path).stop()
    (tmp_path / "data" / "meta.properties").unlink()

    with pytest.raises(Unavailable, match=r"has lost meta\.properties"):
        start(tmp_path)


def test_a_cache_made_in_the_background_is_used_by_the_next_start(tmp_path: Path) -> None:
    cache = AotCache.of(jars.ensure(), folder=tmp_path)
    assert cache.use() == []

    assert train(cache)

    assert cache.use()[0] == f"-XX:AOTCache={cache.file}"
    assert [path for path in tmp_path.iterdir() if path != cache.file] == []
