"""An owner of aggregates that answers as a test's script says, over real topics."""

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.codec import Codec
from streams.answers import ACCEPTED, Answer, outcome_headers, outcome_value
from streams.broker_wait import WITHIN_S, until_answered
from streams.connection import Connection
from streams.records import Identity, command_hash, header_map, parse_expected_version, text
from streams.topics import Topics

Script = Callable[[Any, Answer], Iterable[Answer]]
"""(message, the answer that accepts it) → the answers to write."""


class ScriptedOwner:
    """Reads every command of `context` from now on; `seen` holds their messages."""

    def __init__(
        self, bootstrap: str, topics: Topics, codec: Codec, partitions: int, script: Script
    ) -> None:
        self._topics = topics
        self._codec = codec
        self._script = script
        self.seen: list[Any] = []
        connection = Connection(bootstrap)
        self._producer = Producer(connection.client(linger_ms=0))
        self._consumer = Consumer(
            connection.client(group_id="scripted", auto_offset_reset="latest")
        )
        places = [TopicPartition(topics.commands("pipeline"), p) for p in range(partitions)]
        for place in places:
            place.offset = self._end(place)
        self._consumer.assign(places)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _end(self, place: TopicPartition) -> int:
        # Just after a topic was made, not every part of the broker knows its leader.
        def look() -> int:
            return int(self._consumer.get_watermark_offsets(place, timeout=10)[1])

        return until_answered(look, time.monotonic() + WITHIN_S)

    def __enter__(self) -> "ScriptedOwner":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            message = self._consumer.poll(0.05)
            if message is None or message.error():
                continue
            self.seen.append(message)
            for answer in self._script(message, self._accepting(message)):
                write(self._producer, self._topics, self._codec, answer)
            self._producer.flush(10)

    def _accepting(self, message: Any) -> Answer:
        headers = header_map(message.headers())
        expected = parse_expected_version(text(headers, "ce_expectedversion"))
        content = command_hash(self._codec.name_of(message.value()), message.value(), expected)
        identity = Identity("pipeline", message.key().decode(), text(headers, "ce_id"))
        return Answer(identity, content, ACCEPTED, (1,), "pipeline/0@7")


def write(producer: Producer, topics: Topics, codec: Codec, answer: Answer) -> None:
    """Write an answer as it stands on the outcomes topic."""
    producer.produce(
        topics.outcomes,
        key=answer.identity.command_id.encode(),
        value=outcome_value(answer, codec),
        headers=[*outcome_headers(answer, datetime.now(UTC))],
        partition=0,
    )
