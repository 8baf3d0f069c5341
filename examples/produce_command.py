"""A foreign producer: creates, activates and executes a pipeline with confluent-kafka and fastavro alone.

registry ─► schema id ─► 0x00 │ id │ Avro ─► flexcore.<context>.commands
                                             flexcore.outcomes ─► the answer, found by its command id
"""

import argparse
import io
import json
import struct
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition

ANSWERED_WITHIN_S = 30.0
OUTCOMES = "flexcore.outcomes"


class Registry:
    """Schemas and their ids over the Confluent REST API."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._schemas: dict[int, Any] = {}

    def latest(self, subject: str) -> tuple[int, Any]:
        """Id and schema of the newest version of a subject."""
        found = self._get(f"/subjects/{subject}/versions/latest")
        return found["id"], fastavro.parse_schema(json.loads(found["schema"]))

    def schema(self, schema_id: int) -> Any:
        """The schema behind an id."""
        if schema_id not in self._schemas:
            text = self._get(f"/schemas/ids/{schema_id}")["schema"]
            self._schemas[schema_id] = fastavro.parse_schema(json.loads(text))
        return self._schemas[schema_id]

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self._url + path, timeout=10) as answer:
            return json.load(answer)


class FlexCore:
    """Produces commands and reads their answers."""

    def __init__(self, bootstrap: str, registry: Registry) -> None:
        self._registry = registry
        # FlexCore's partitions are those of the Java clients, librdkafka's default is another one.
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "acks": "all"}
        )
        self._answers = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "produce-command-example",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
            }
        )
        partitions = self._answers.list_topics(OUTCOMES, 10).topics[OUTCOMES].partitions
        # From the present end on: the answer may come before a late reader has found its place.
        places = [TopicPartition(OUTCOMES, partition) for partition in partitions]
        for place in places:
            place.offset = self._answers.get_watermark_offsets(place, 10)[1]
        self._answers.assign(places)

    def send(self, context: str, name: str, aggregate_id: str, body: dict[str, Any]) -> str:
        """Send a command and wait for its answer; `accepted` or the error's code."""
        topic = f"flexcore.{context}.commands"
        schema_id, schema = self._registry.latest(f"{topic}-flexcore.{context}.{name}")
        value = io.BytesIO()
        value.write(struct.pack(">BI", 0, schema_id))
        fastavro.schemaless_writer(value, schema, body)
        command_id = str(uuid.uuid4())
        print(f"→ {topic} {name} {aggregate_id} (command {command_id})")
        self._producer.produce(
            topic, key=aggregate_id, value=value.getvalue(), headers={"ce_id": command_id}
        )
        self._producer.flush(10)
        return self._answer(command_id)

    def _answer(self, command_id: str) -> str:
        deadline = time.monotonic() + ANSWERED_WITHIN_S
        while time.monotonic() < deadline:
            message = self._answers.poll(0.1)
            if message is None or message.error():
                continue
            headers = {name: value.decode() for name, value in message.headers() or ()}
            if headers.get("ce_commandid") == command_id:
                outcome = self._decoded(message.value())
                print(f"← {OUTCOMES} {headers['ce_status']} {json.dumps(outcome)}")
                return outcome["error_code"] or headers["ce_status"]
        raise SystemExit(f"no answer to {command_id} within {ANSWERED_WITHIN_S:g} s")

    def _decoded(self, value: bytes) -> Any:
        schema_id = struct.unpack(">BI", value[:5])[1]
        schema = self._registry.schema(schema_id)
        return fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, schema)


def step(step_id: str, uses: str, needs: list[str], config: dict[str, Any]) -> dict[str, Any]:
    """A step as `flexcore.pipeline.Step` has it."""
    return {
        "id": step_id,
        "uses": uses,
        "needs": needs,
        "on_error": "fail",
        "timeout_s": None,
        "retry": None,
        "when": None,
        "with_json": json.dumps(config),
    }


def definition() -> dict[str, Any]:
    """Days by kind of weather, of the example's data."""
    rows = "${{ steps.read.output.rows }}"
    counted = {"rows": rows, "by": ["weather"], "count": True}
    return {
        "steps": [
            step("read", "flexcore.csv_read", [], {"path": "examples/data/seattle-weather.csv"}),
            step("kinds", "flexcore.aggregate", ["read"], counted),
        ]
    }


def main() -> int:
    """Exit code 0 when all three commands were accepted."""
    options = arguments()
    flexcore = FlexCore(options.bootstrap, Registry(options.registry))
    pipeline_id = options.pipeline_id or f"foreign-{uuid.uuid4().hex[:8]}"
    execution_id = str(uuid.uuid4())
    created = {
        "pipeline_id": pipeline_id,
        "name": "Days by kind of weather",
        "description": "made by a producer that knows nothing of FlexCore but its topics",
        "definition": definition(),
    }
    executed = {
        "execution_id": execution_id,
        "pipeline_id": pipeline_id,
        "deadline_s": None,
        "priority": 0,
        "input_json": "{}",
    }
    answers = [
        flexcore.send("pipeline", "CreatePipeline", pipeline_id, created),
        flexcore.send(
            "pipeline", "ActivatePipeline", pipeline_id, {"pipeline_id": pipeline_id, "reason": ""}
        ),
        flexcore.send("execution", "ExecutePipeline", execution_id, executed),
    ]
    print(f"see it: flexcore execution watch {execution_id}")
    return 0 if set(answers) == {"accepted"} else 1


def arguments() -> argparse.Namespace:
    """The command line; addresses are those of the stack that runs here, unless given."""
    endpoints = Path(".flexcore/endpoints.json")
    running = json.loads(endpoints.read_text()) if endpoints.exists() else {}
    parser = argparse.ArgumentParser(
        description="Create, activate and execute a pipeline over Kafka."
    )
    parser.add_argument("--bootstrap", default=running.get("kafka"))
    parser.add_argument("--registry", default=running.get("registry"))
    parser.add_argument("--pipeline-id", help="default: a new one")
    options = parser.parse_args()
    if not (options.bootstrap and options.registry):
        parser.error("no stack runs here; give --bootstrap and --registry, or start `flexcore dev`")
    return options


if __name__ == "__main__":
    sys.exit(main())
