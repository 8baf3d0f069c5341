"""The peer of `bench commands`: a bare confluent loop that reads, decides, writes and answers.

No Faust, no index, no read-back, no dedupe: what a transaction per batch costs by itself.
Run as a process: python -m benchmarks.bare_loop BOOTSTRAP PREFIX
"""

import sys
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from domain.decider import Facts
from domain.pipeline.pipeline import PIPELINE
from schemas import catalogue
from streams.answers import Answer, outcome_value
from streams.connection import Connection
from streams.kafka_writer import transactional_producer
from streams.records import Identity, header_map
from streams.registry import load_registry
from streams.topics import Topics, event_key

BATCH = 1_000


def main(bootstrap: str, prefix: str) -> None:
    """Serve until killed."""
    connection, topics = Connection(bootstrap), Topics(prefix)
    codec = load_registry(connection, topics, None).codec()
    producers = [transactional_producer(connection, f"{prefix}-bare-{n}") for n in range(2)]
    consumer = Consumer(
        connection.client(
            group_id=f"{prefix}-bare",
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            queued_min_messages=20_000,
        )
    )
    consumer.subscribe([topics.commands("pipeline")])
    states: dict[str, tuple[int, Any]] = {}
    turns = 0
    while True:
        first = consumer.poll(1.0)
        if first is None:
            continue
        messages = [m for m in (first, *consumer.consume(BATCH - 1, 0)) if m.error() is None]
        if messages:
            _transaction(producers[turns % 2], consumer, messages, states, codec, topics)
            turns += 1


def _transaction(
    producer: Producer,
    consumer: Consumer,
    messages: list[Any],
    states: dict[str, tuple[int, Any]],
    codec: Any,
    topics: Topics,
) -> None:
    from datetime import UTC, datetime

    producer.begin_transaction()
    now = datetime.now(UTC)
    offsets: dict[int, int] = {}
    for message in messages:
        headers = header_map(message.headers())
        command_id, aggregate_id = headers["ce_id"].decode(), message.key().decode()
        version, state = states.get(aggregate_id, (0, PIPELINE.initial))
        assert int(headers["ce_expectedversion"]) == version
        facts = Facts(at=now, actor="anonymous")
        events = PIPELINE.decide(codec.decode(message.value()), state, facts)
        for event in events:
            version += 1
            producer.produce(
                topics.events("pipeline"),
                value=codec.encode(event),
                key=event_key(aggregate_id, version),
                partition=message.partition(),
                headers=[
                    ("ce_id", headers["ce_id"]),
                    ("ce_type", catalogue.full_names()[type(event)].encode()),
                    ("ce_source", b"bare"),
                    ("ce_subject", message.key()),
                    ("ce_aggregateversion", str(version).encode()),
                    ("ce_commandid", headers["ce_id"]),
                ],
            )
        states[aggregate_id] = version, PIPELINE.fold(events, state)
        answer = Answer(Identity("pipeline", aggregate_id, command_id), "", "accepted", (version,))
        producer.produce(
            topics.outcomes,
            value=outcome_value(answer, codec),
            key=headers["ce_id"],
            partition=0,
            headers=[("ce_commandid", headers["ce_id"]), ("ce_status", b"accepted")],
        )
        offsets[message.partition()] = message.offset() + 1
    topic = topics.commands("pipeline")
    producer.send_offsets_to_transaction(
        [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()],
        consumer.consumer_group_metadata(),
        10,
    )
    producer.commit_transaction(10)


if __name__ == "__main__":
    main(*sys.argv[1:3])
