"""A command by Confluent's serializing producer, its event by Confluent's deserializing consumer."""

import uuid
from typing import Any

import pytest
from confluent_kafka import DeserializingConsumer, SerializingProducer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer

from tests.e2e.conftest import Demonstrated

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

COMMANDS, EVENTS = "flexcore.pipeline.commands", "flexcore.pipeline.events"


def test_confluents_producer_and_consumer_need_the_registry_alone(
    demonstrated: Demonstrated,
) -> None:
    places = demonstrated.product.endpoints
    registry = SchemaRegistryClient({"url": places["registry"]})
    pipeline_id, command_id = f"confluent-{uuid.uuid4().hex[:8]}", str(uuid.uuid4())
    producer = SerializingProducer(
        {
            "bootstrap.servers": places["kafka"],
            "partitioner": "murmur2_random",
            "value.serializer": AvroSerializer(
                registry,
                latest(registry, f"{COMMANDS}-flexcore.pipeline.CreatePipeline"),
                conf={
                    "auto.register.schemas": False,
                    "use.latest.version": True,
                    "subject.name.strategy": topic_record_subject_name_strategy,
                },
            ),
        }
    )
    step = {"id": "read", "uses": "flexcore.csv_read", "needs": [], "with_json": "{}"}
    producer.produce(
        COMMANDS,
        key=pipeline_id.encode(),
        value={
            "pipeline_id": pipeline_id,
            "name": "By Confluent's clients",
            "description": "",
            "definition": {"steps": [{**step, "on_error": "fail"}]},
        },
        headers={"ce_id": command_id},
    )
    assert producer.flush(30) == 0

    event = event_of(places["kafka"], registry, command_id)

    assert (event["pipeline_id"], event["revision"]) == (pipeline_id, 1)
    assert event["definition"]["steps"][0]["uses"] == "flexcore.csv_read"


def latest(registry: SchemaRegistryClient, subject: str) -> str:
    return str(registry.get_latest_version(subject).schema.schema_str)


def event_of(kafka: str, registry: SchemaRegistryClient, command_id: str) -> dict[str, Any]:
    """The event that a command has made, read from the beginning of its topic."""
    consumer = DeserializingConsumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "unused",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "value.deserializer": AvroDeserializer(registry),
        }
    )
    partitions = consumer.list_topics(EVENTS, 30).topics[EVENTS].partitions
    consumer.assign([TopicPartition(EVENTS, partition, 0) for partition in partitions])
    try:
        while (record := consumer.poll(60)) is not None:
            headers = dict(record.headers() or ())
            if headers.get("ce_commandid") == command_id.encode():
                found: dict[str, Any] = record.value()
                return found
        raise AssertionError(f"no event of command {command_id} came")
    finally:
        consumer.close()
