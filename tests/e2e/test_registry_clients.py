"""Programs that know Kafka, Avro and a registry, and nothing of FlexCore, read and write all of it.

Confluent's consumer with its registry client     librdkafka, `AvroDeserializer`
another consumer with a schema reader beside it   aiokafka, fastavro, the registry over bare HTTP
"""

import asyncio
import io
import json
import re
import subprocess
import sys
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as Place
from confluent_kafka import DeserializingConsumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.error import ConsumeError
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer

from services.embedded.jars import ROOT
from tests.e2e.conftest import Demonstrated
from tests.e2e.test_demo import get

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]


def test_confluents_clients_need_the_registry_alone(
    demonstrated: Demonstrated, tmp_path: Path
) -> None:
    places = demonstrated.product.endpoints
    page = (ROOT / "docs" / "schemas.md").read_text("utf-8")
    (shown,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    program = tmp_path / "clients.py"
    # The page names the usual ports; this stack took free ones.
    program.write_text(
        shown.replace("127.0.0.1:9092", places["kafka"]).replace(
            "http://127.0.0.1:8350/registry", places["registry"]
        )
    )

    ran = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=120, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("created confluent-")


@dataclass(frozen=True)
class Event:
    """What such a program makes of a record: its headers, and its value as the schema has it."""

    id: str
    type: str
    aggregate: str
    version: int
    value: Mapping[str, Any]

    @classmethod
    def read(cls, headers: Iterable[tuple[str, Any]], value: Mapping[str, Any]) -> "Event":
        said = {name: text.decode() for name, text in headers}
        return cls(
            said["ce_id"],
            said["ce_type"],
            said["ce_subject"],
            int(said["ce_aggregateversion"]),
            value,
        )


def test_every_event_is_decoded_by_clients_that_know_the_registry_alone(
    demonstrated: Demonstrated,
) -> None:
    places = demonstrated.product.endpoints

    before = events_of_the_api(places["api"])
    by_confluent = read_by_confluent(places["kafka"], places["registry"])
    by_another = asyncio.run(read_by_another(places["kafka"], places["registry"]))
    after = events_of_the_api(places["api"])

    assert {"PipelineCreated", "ExecutionStarted", "ExecutionCompleted"} <= {
        event["type"] for event in before.values()
    }
    for read in (by_confluent, by_another):
        # Runs of other tests may go on meanwhile.
        assert before.keys() <= read.keys() <= after.keys()
        for event in read.values():
            told = after[event.id]
            assert (event.type.rpartition(".")[2], event.aggregate, event.version) == (
                *(told["type"], told["aggregate_id"], told["version"]),
            )
            assert plain(event.value) == {name: told["data"][name] for name in plain(event.value)}
        assert_gapless(read.values())
    both = by_confluent.keys() & by_another.keys()
    assert {id: by_confluent[id] for id in both} == {id: by_another[id] for id in both}


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that JSON and Avro write alike."""
    return {
        name: one
        for name, one in value.items()
        if isinstance(one, str | int) and not name.endswith("_json")
    }


def assert_gapless(events: Iterable[Event]) -> None:
    versions: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for event in events:
        versions[event.type.rpartition(".")[0], event.aggregate].append(event.version)
    for aggregate, found in versions.items():
        assert sorted(found) == list(range(1, len(found) + 1)), aggregate


def events_of_the_api(api: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    page = get(f"{api}/v1/events?limit=500")
    while page["items"]:
        found |= {event["id"]: event for event in page["items"]}
        page = get(f"{api}/v1/events?limit=500&cursor={page['next_cursor']}")
    return found


def partitions_of_events(kafka: str) -> list[tuple[str, int]]:
    topics = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=30).topics
    names = [name for name in topics if re.fullmatch(r"flexcore\..*events.*", name)]
    assert len(names) >= 2
    return [(name, partition) for name in names for partition in topics[name].partitions]


def read_by_confluent(kafka: str, registry: str) -> dict[str, Event]:
    consumer = DeserializingConsumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"confluent-{uuid.uuid4()}",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "value.deserializer": AvroDeserializer(SchemaRegistryClient({"url": registry})),
        }
    )
    open_partitions = set(partitions_of_events(kafka))
    consumer.assign([TopicPartition(topic, number, 0) for topic, number in open_partitions])
    found: dict[str, Event] = {}
    while open_partitions:
        try:
            message = consumer.poll(30)
        except ConsumeError as error:
            if error.code != KafkaError._PARTITION_EOF:
                raise
            open_partitions.discard((error.kafka_message.topic(), error.kafka_message.partition()))
            continue
        assert message is not None
        event = Event.read(message.headers(), message.value())
        found[event.id] = event
    consumer.close()
    return found


async def read_by_another(kafka: str, registry: str) -> dict[str, Event]:
    places = [Place(*place) for place in partitions_of_events(kafka)]
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed")
    await consumer.start()
    try:
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        decoded, found = decoder(registry), dict[str, Event]()
        while any([await consumer.position(place) < ends[place] for place in places]):
            for messages in (await consumer.getmany(timeout_ms=1_000)).values():
                for message in messages:
                    event = Event.read(message.headers, decoded(message.value))
                    found[event.id] = event
        return found
    finally:
        await consumer.stop()


def decoder(registry: str) -> Callable[[bytes], Mapping[str, Any]]:
    """Confluent's wire format: a zero, the schema's id in four bytes, the body."""
    schemas: dict[int, Any] = {}

    def decoded(value: bytes) -> Mapping[str, Any]:
        assert value[0] == 0
        number = int.from_bytes(value[1:5], "big")
        if number not in schemas:
            with urllib.request.urlopen(f"{registry}/schemas/ids/{number}", timeout=30) as answer:
                schemas[number] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
        body: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), schemas[number], None)
        return dict(body)

    return decoded
