"""A client that knows nothing of FlexCore but its topics: writes any bytes, reads what became of them."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streams.connection import Connection
from streams.records import Headers, header_map
from streams.topics import MIB, Topics

WITHIN_S = 30.0
TOPICS = Topics()


@dataclass(frozen=True, slots=True)
class Sent:
    """A record where it stands."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Foreign:
    """Writes commands to any partition and follows `flexcore.dead` and `flexcore.outcomes`."""

    def __init__(self, kafka: str, partitions: int) -> None:
        connection = Connection(kafka)
        # The limits are the broker's: this client has none of its own.
        self._producers = {
            packed: Producer(
                connection.client(message_max_bytes=512 * MIB, compression_type=packed, linger_ms=0)
            )
            for packed in ("none", "gzip", "zstd")
        }
        self._consumer = Consumer(
            connection.client(
                group_id="foreign", isolation_level="read_committed", enable_auto_commit=False
            )
        )
        self._consumer.assign(
            [
                TopicPartition(topic, number, 0)
                for topic in (TOPICS.dead, TOPICS.outcomes)
                for number in range(partitions)
            ]
        )
        self._read: list[Any] = []
        self.last_partition = 0
        """where it wrote last"""

    def close(self) -> None:
        self._consumer.close()

    def send(
        self,
        context: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        *,
        packed: str = "none",
    ) -> Sent:
        """Write a record, with an id unless other headers are given. Raises KafkaException."""
        self.last_partition = partition
        told: list[Any] = []
        if headers is None:
            headers = [("ce_id", str(uuid.uuid4()).encode())]
        producer = self._producers[packed]
        producer.produce(
            TOPICS.commands(context),
            partition=partition,
            key=key,
            value=value,
            headers=list(headers),
            on_delivery=lambda error, message: told.append((error, message)),
        )
        producer.flush(WITHIN_S)
        ((error, message),) = told
        if error is not None:
            raise KafkaException(error)
        return Sent(message.topic(), message.partition(), message.offset(), key, value, headers)

    def dead_letter(self, sent: Sent) -> Any:
        """The dead letter of a record."""
        place = {
            "dead_topic": sent.topic.encode(),
            "dead_partition": str(sent.partition).encode(),
            "dead_offset": str(sent.offset).encode(),
        }
        return self._first(
            lambda m: m.topic() == TOPICS.dead and place.items() <= header_map(m.headers()).items()
        )

    def error_code(self, sent: Sent) -> str:
        """The code in the outcome of a record, found by the command's id."""
        command_id = header_map(sent.headers)["ce_id"]
        found = self._first(
            lambda m: (
                m.topic() == TOPICS.outcomes
                and header_map(m.headers()).get("ce_commandid") == command_id
            )
        )
        return header_map(found.headers())["ce_errorcode"].decode()

    def _first(self, wanted: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + WITHIN_S
        seen = 0
        while True:
            for message in self._read[seen:]:
                if wanted(message):
                    return message
            seen = len(self._read)
            assert time.monotonic() < deadline, "it has not come"
            for message in self._consumer.consume(500, 0.1):
                error = message.error()
                assert error is None or error.code() == KafkaError._PARTITION_EOF, error
                if error is None:
                    self._read.append(message)
