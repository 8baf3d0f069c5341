"""One command, sent fifty times at once over REST and over its topic: one effect, equal answers."""

import json
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from gateway.json_shapes import command_from_json
from streams.answers import Answer, read_outcome
from streams.connection import Connection
from streams.records import header_map
from streams.registry import load_registry
from streams.topics import Topics, partition_of
from streams.true_ends import true_ends
from tests.e2e.conftest import Demonstrated

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

TOPICS = Topics()
TIMES = 25
STEPS = [{"id": "read", "uses": "flexcore.csv_read", "with": {"path": "x.csv"}}]


def body(name: str) -> dict[str, Any]:
    return {"name": name, "definition": {"steps": STEPS}}


def post(api: str, sent: dict[str, Any]) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{api}/v1/commands", json.dumps(sent).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def test_one_id_takes_effect_once_whichever_way_it_comes(demonstrated: Demonstrated) -> None:
    endpoints = json.loads((demonstrated.product.data_dir / "endpoints.json").read_text())
    connection, pipeline_id = Connection(endpoints["kafka"]), f"once-{uuid.uuid4().hex[:8]}"
    codec = load_registry(connection, TOPICS).codec()
    partition = partition_of(pipeline_id, 8)
    command_id = str(uuid.uuid4())
    starts = true_ends(connection, [(TOPICS.outcomes, n) for n in range(8)])
    producer = Producer(connection.client(linger_ms=0))

    def produce(name: str) -> None:
        command = command_from_json("CreatePipeline", pipeline_id, body(name))
        producer.produce(
            TOPICS.commands("pipeline"),
            value=codec.encode(command),
            key=pipeline_id,
            partition=partition,
            headers={"ce_id": command_id},
        )

    sent = {
        "type": "CreatePipeline",
        "aggregate_id": pipeline_id,
        "data": body("first"),
        "command_id": command_id,
    }
    with ThreadPoolExecutor(TIMES) as pool:
        posted = [pool.submit(post, endpoints["api"], sent) for _ in range(TIMES)]
        for _ in range(TIMES):
            produce("first")
        producer.flush(30)
        answers = [future.result() for future in posted]

    assert {status for status, _ in answers} == {200}, answers
    assert {json.dumps(answer, sort_keys=True) for _, answer in answers} == {
        json.dumps(answers[0][1], sort_keys=True)
    }
    assert answers[0][1]["versions"] == [1]
    status, other = post(endpoints["api"], {**sent, "data": body("other")})
    assert (status, other["code"]) == (422, "command.id_reused")
    produce("other over the topic")
    producer.flush(30)

    told = outcomes(connection, starts, codec, command_id, until="command.id_reused", times=2)
    accepted = {(a.status, a.error_code, a.versions) for a in told if not a.error_code}
    assert accepted == {("accepted", "", (1,))}
    assert len(events(demonstrated, pipeline_id)) == 1


def events(demonstrated: Demonstrated, pipeline_id: str) -> list[Any]:
    found: list[Any] = demonstrated.product.json("events", "read", f"pipeline/{pipeline_id}")
    return found


def outcomes(
    connection: Connection,
    starts: dict[tuple[str, int], int],
    codec: Any,
    command_id: str,
    *,
    until: str,
    times: int,
) -> list[Answer]:
    """All answers to a command, read until `until` was said so many times."""
    consumer = Consumer(
        connection.client(
            group_id="unused", isolation_level="read_committed", enable_auto_commit=False
        )
    )
    consumer.assign([TopicPartition(topic, n, start) for (topic, n), start in starts.items()])
    found: list[Answer] = []
    while sum(answer.error_code == until for answer in found) < times:
        message = consumer.poll(30)
        assert message is not None, found
        headers = header_map(message.headers())
        if headers.get("ce_commandid") == command_id.encode():
            found.append(read_outcome(headers, message.value() or b"", codec))
    consumer.close()
    return found
