"""Everything the topics hold after a run, read by a plain consumer up to their true ends.

read_committed ──► events, answers, commands, dead letters      read_uncommitted ──► what was aborted
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from domain.contexts import CONTEXTS
from domain.definition import Definition
from domain.errors import FlexCoreError
from schemas.codec import Codec
from streams.answers import read_outcome
from streams.connection import Connection
from streams.judging import MAX_KEY_BYTES
from streams.records import command_hash, header_map, parse_expected_version, text
from streams.topics import Topics, parse_event_key
from tests.faults.logged import DeadLetter, Dump, LoggedAnswer, LoggedCommand, LoggedEvent, Place
from tests.faults.topic_reader import WITHIN_S, TopicReader

PENDING_S = 3.0


def take(connection: Connection, topics: Topics, codec: Codec, partitions: int) -> Dump:
    """Read all. Raises KafkaException, TimeoutError where a topic cannot be read to its end."""
    reader = TopicReader(connection, topics, partitions)
    parts = _Parts(codec)
    events: list[LoggedEvent] = []
    aborted: list[LoggedEvent] = []
    commands: list[LoggedCommand] = []
    for context in CONTEXTS:
        topic = topics.events(context)
        visible = [parts.event(context, m) for m in reader.read(topic, "read_committed")]
        places = {(event.partition, event.offset) for event in visible}
        raw = reader.read(topic, "read_uncommitted")
        aborted += [
            parts.event(context, m) for m in raw if (m.partition(), m.offset()) not in places
        ]
        events += visible
        asked = reader.read(topics.commands(context), "read_committed")
        commands += [parts.command(context, m) for m in asked]
    contexts = {topics.commands(context): context for context in CONTEXTS}
    return Dump(
        partitions=partitions,
        events=events,
        answers=[parts.answer(m) for m in reader.read(topics.outcomes, "read_committed")],
        aborted=aborted,
        commands=commands,
        ends={(one.context, one.partition): one.offset + 1 for one in commands},
        committed=_committed(connection, topics, partitions),
        dead=[_dead_letter(m, contexts) for m in reader.read(topics.dead, "read_committed")],
        stuck=[*reader.stuck, *_pending(connection, topics, partitions)],
    )


class _Parts:
    """Decodes records; equal definitions become one object, or a dump would hold thousands."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._definitions: dict[Definition, Definition] = {}

    def event(self, context: str, message: Any) -> LoggedEvent:
        headers = header_map(message.headers())
        aggregate, version = parse_event_key(message.key())
        value: bytes = message.value()
        body = self._body(value)
        return LoggedEvent(
            context=context,
            partition=message.partition(),
            offset=message.offset(),
            aggregate=aggregate,
            version=version,
            type=text(headers, "ce_type").rpartition(".")[2],
            source=text(headers, "ce_source"),
            command_id=text(headers, "ce_commandid"),
            hash=text(headers, "ce_commandhash"),
            index=int(text(headers, "ce_txnindex", "-1")),
            count=int(text(headers, "ce_txncount", "-1")),
            digest=_digest(b"", value, headers.items()),
            name=getattr(body, "name", ""),
            step=getattr(body, "step_id", None) or "",
            attempt=getattr(body, "attempt", 0),
            delivery=getattr(body, "delivery", 0),
            code=getattr(body, "error_code", ""),
            body=body if context == "pipeline" else None,
        )

    def command(self, context: str, message: Any) -> LoggedCommand:
        headers = header_map(message.headers())
        value: bytes = message.value() or b""
        command_id, key = text(headers, "ce_id"), _text(message.key())
        body, content = None, ""
        with suppress(FlexCoreError):
            expected = parse_expected_version(text(headers, "ce_expectedversion"))
            if key and len(key.encode()) <= MAX_KEY_BYTES and 0 < len(command_id) <= MAX_KEY_BYTES:
                body = self._body(value)
                content = command_hash(self._codec.name_of(value), value, expected)
        return LoggedCommand(
            context=context,
            partition=message.partition(),
            offset=message.offset(),
            identity=(context, key, command_id),
            digest=_digest(message.key(), value, message.headers() or ()),
            hash=content,
            body=body if context == "pipeline" else None,
        )

    def answer(self, message: Any) -> LoggedAnswer:
        answer = read_outcome(header_map(message.headers()), message.value(), self._codec)
        return LoggedAnswer(
            place=f"{message.partition()}@{message.offset()}",
            context=answer.identity.context,
            aggregate=answer.identity.aggregate_id,
            command_id=answer.identity.command_id,
            hash=answer.hash,
            status=answer.status,
            code=answer.error_code,
            versions=answer.versions,
        )

    def _body(self, value: bytes) -> Any:
        body = self._codec.decode(value)
        definition = getattr(body, "definition", None)
        if isinstance(definition, Definition):
            known = self._definitions.setdefault(definition, definition)
            body = replace(body, definition=known)
        return body


def _dead_letter(message: Any, contexts: Mapping[str, str]) -> DeadLetter:
    headers = list(message.headers() or ())
    told = header_map(reversed(headers))
    own = [header for header in headers if not header[0].startswith("dead_")]
    return DeadLetter(
        context=contexts[text(told, "dead_topic")],
        partition=int(text(told, "dead_partition")),
        offset=int(text(told, "dead_offset")),
        digest=_digest(message.key(), message.value() or b"", own),
        reason=text(told, "dead_reason"),
        dropped="dead_dropped_bytes" in told,
    )


def _digest(key: bytes | None, value: bytes, headers: Iterable[tuple[str, Any]]) -> str:
    digest = hashlib.sha256(key or b"")
    digest.update(b"\0" + value)
    for name, content in sorted(headers):
        digest.update(b"\0%s\0%s" % (name.encode(), content or b""))
    return digest.hexdigest()


def _committed(connection: Connection, topics: Topics, partitions: int) -> dict[Place, int]:
    places = [(context, number) for context in CONTEXTS for number in range(partitions)]
    asked = [TopicPartition(topics.commands(context), number) for context, number in places]
    # Pending or not: whether they are is told apart.
    answered = _asked(connection, topics, asked, "read_uncommitted", WITHIN_S)
    return {place: max(p.offset, 0) for place, p in zip(places, answered, strict=True)}


def _pending(connection: Connection, topics: Topics, partitions: int) -> list[str]:
    """Places whose offsets hang in a transaction, long after every writer has come to rest."""
    places = [(context, number) for context in CONTEXTS for number in range(partitions)]
    found = []
    for context, number in places:
        asked = [TopicPartition(topics.commands(context), number)]
        try:
            _asked(connection, topics, asked, "read_committed", PENDING_S)
        except KafkaException:
            found.append(f"the offset of {context}/{number} is pending")
    return found


def _asked(
    connection: Connection,
    topics: Topics,
    asked: list[TopicPartition],
    isolation: str,
    within_s: float,
) -> list[TopicPartition]:
    consumer = Consumer(
        connection.client(
            group_id=topics.worker_group, enable_auto_commit=False, isolation_level=isolation
        )
    )
    try:
        return list(consumer.committed(asked, within_s))
    finally:
        consumer.close()


def _text(key: bytes | None) -> str:
    """A key as text, empty where it is none."""
    with suppress(UnicodeDecodeError):
        return (key or b"").decode()
    return ""
