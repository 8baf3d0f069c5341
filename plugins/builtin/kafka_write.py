"""`flexcore.kafka_write`: rows as JSON records into a topic: `{topic, rows, key}`.

A step that is repeated writes its rows again. Each record's `ce_id` is made of run, step and row, so
that its readers can leave out what they have seen.
"""

import re
from typing import Any

import orjson
from confluent_kafka import KafkaError, KafkaException, Producer

from plugins.builtin.config import Config, bad_config, bad_data
from plugins.builtin.rows import Rows, check_columns, rows_of
from plugins.steps import Output, StepContext, StepFailed

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_LOOK_S = 10.0
_DELIVERY_MS = 60_000
_REFUSED_AT_ONCE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE)
_AWAY = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._RESOLVE,
)


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"topic", "count"}`; raises `StepFailed`, retryable where the broker or the topic is away."""
    fields = Config(config, "topic", "rows", "key")
    topic = _checked_topic(fields.text("topic"), context.outside.reserved_topics)
    rows = rows_of(fields, "rows", context)
    key = fields.text("key") if fields.has("key") else None
    if key is not None:
        check_columns(rows, [key], "key")
    producer = Producer(
        {
            **context.outside.kafka(),
            "client.id": "flexcore-step",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "delivery.timeout.ms": _DELIVERY_MS,
            "log_level": 0,
        }
    )
    try:
        _check_presence(producer, topic)
        _write(producer, topic, key, rows, context)
    except KafkaException as error:
        raise _failure(error.args[0], topic) from error
    return {"topic": topic, "count": len(rows)}


def _checked_topic(topic: str, reserved: str) -> str:
    if not _TOPIC.fullmatch(topic):
        raise bad_config(f"field 'topic' is {topic[:100]!r}; letters, digits, '.', '_' and '-'")
    if topic.startswith((reserved, "__")):
        raise bad_config(f"field 'topic' is {topic!r}; no step may write to a topic of the system")
    return topic


def _check_presence(producer: Producer, topic: str) -> None:
    # Asking for all: a broker may make the topic that it is asked for by name.
    if topic not in producer.list_topics(timeout=_LOOK_S).topics:
        raise StepFailed(
            "plugin.no_topic", f"the broker has no topic '{topic}'; create it first", retryable=True
        )


def _write(
    producer: Producer, topic: str, key: str | None, rows: Rows, context: StepContext
) -> None:
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Any) -> None:
        if error is not None:
            failures.append(error)

    source = f"flexcore/step/{context.run}/{context.step}".encode()
    for number, row in enumerate(rows, 1):
        headers: list[tuple[str, str | bytes | None]] = [
            ("ce_specversion", b"1.0"),
            ("ce_id", f"{context.run}/{context.step}/{number}".encode()),
            ("ce_source", source),
            ("ce_type", b"flexcore.row"),
            ("content-type", b"application/json"),
        ]
        value, text = orjson.dumps(row), None if key is None else _key(row.get(key))
        while not failures:
            try:
                producer.produce(topic, value, text, headers=headers, on_delivery=delivered)
            except BufferError:  # it sends some first
                producer.poll(0.1)
            except KafkaException as error:
                if error.args[0].code() in _REFUSED_AT_ONCE:
                    raise bad_data(f"row {number} is too large for a record") from error
                raise
            else:
                break
        producer.poll(0)
    producer.flush()
    if failures:
        raise KafkaException(failures[0])


def _key(value: object) -> bytes | None:
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


def _failure(error: KafkaError, topic: str) -> StepFailed:
    if error.code() in _AWAY or error.retriable():
        return StepFailed(
            "plugin.kafka_unavailable", f"the broker is away: {error.str()}", retryable=True
        )
    return StepFailed("plugin.kafka_refused", f"topic '{topic}': {error.str()}")
