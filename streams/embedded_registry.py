"""The registry over the compacted schemas topic: read to its end, written by one at a time.

key `subject/version`   value {"subject", "version", "id", "schema"}

register:  fence other writers ─► read to the end ─► what is new ─► one transaction ─► read back
"""

# pyright: reportPrivateImportUsage=false
# confluent_kafka.admin offers these names without listing them as exported.
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from domain.errors import Unavailable
from streams.broker_wait import REQUEST_S, WITHIN_S, until_answered
from streams.connection import Connection
from streams.registry import Latest, Registered, Registry, canonical, no_version
from streams.topics import Topics
from streams.true_ends import true_ends

log = logging.getLogger("flexcore.registry")

LOOK_AGAIN_S = 0.05
"""A flood of records with made-up ids costs 20 questions a second, of about 1 ms each."""
_ATTEMPTS = 5


class SchemaLog:
    """What the records of the schemas topic amount to; pure, the first of equal copies counts."""

    def __init__(self) -> None:
        self._subjects: dict[str, dict[int, Registered]] = {}
        self._schemas: dict[int, str] = {}
        self._ids: dict[str, int] = {}

    def add(self, registered: Registered) -> None:
        versions = self._subjects.setdefault(registered.subject, {})
        versions.setdefault(registered.version, registered)
        self._schemas.setdefault(registered.id, registered.schema)
        self._ids.setdefault(canonical(registered.schema), registered.id)

    def subjects(self) -> Sequence[str]:
        return sorted(self._subjects)

    def versions(self, subject: str) -> Sequence[int]:
        return sorted(self._subjects.get(subject, ()))

    def version(self, subject: str, version: int | Latest) -> Registered | None:
        versions = self._subjects.get(subject, {})
        return versions.get(max(versions, default=0) if version == "latest" else version)

    def find(self, subject: str, schema: str) -> Registered | None:
        schema_id = self._ids.get(canonical(schema))
        versions = self._subjects.get(subject, {})
        same = [v for v in versions.values() if v.id == schema_id]
        return max(same, key=lambda registered: registered.version, default=None)

    def schema(self, schema_id: int) -> str | None:
        return self._schemas.get(schema_id)

    def places(self, schema_id: int) -> Sequence[Registered]:
        return [
            registered
            for subject in self.subjects()
            for registered in self._subjects[subject].values()
            if registered.id == schema_id
        ]

    def missing(self, schemas: Mapping[str, str]) -> list[Registered]:
        """What has to be written so that each subject has the given schema as some version.

        An older release that registers again adds nothing: its schemas are there already.
        """
        ids = dict(self._ids)
        new = []
        for subject, schema in schemas.items():
            schema_id = ids.setdefault(canonical(schema), max(ids.values(), default=0) + 1)
            if self.find(subject, schema) is None:
                version = max(self.versions(subject), default=0) + 1
                new.append(Registered(subject, version, schema_id, schema))
        return new


class EmbeddedRegistry(Registry):
    """Holds the whole schemas topic in memory; threads may share one."""

    def __init__(
        self,
        connection: Connection,
        topics: Topics,
        *,
        within_s: float = WITHIN_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the topic to its end. Raises Unavailable."""
        super().__init__(topics)
        self._connection = connection
        self._within_s = within_s
        self._clock = clock
        self._place = TopicPartition(topics.schemas, 0)
        self._lock = threading.Lock()
        self._log = SchemaLog()
        self._next = 0
        self._looked_at = clock() - LOOK_AGAIN_S
        self._read()

    def subjects(self) -> Sequence[str]:
        return self._log.subjects()

    def versions(self, subject: str) -> Sequence[int]:
        return self._log.versions(subject)

    def version(self, subject: str, version: int | Latest) -> Registered:
        registered = self._log.version(subject, version)
        if registered is None:
            raise no_version(subject, version)
        return registered

    def find(self, subject: str, schema: str) -> Registered | None:
        return self._log.find(subject, schema)

    def places(self, schema_id: int) -> Sequence[Registered]:
        return self._log.places(schema_id)

    def schema(self, schema_id: int) -> str | None:
        known = self._log.schema(schema_id)
        if known is not None:
            return known
        with self._lock:
            if self._clock() >= self._looked_at + LOOK_AGAIN_S:
                self._read()
                self._looked_at = self._clock()
            return self._log.schema(schema_id)

    def register(self, schemas: Mapping[str, str]) -> Sequence[Registered]:
        with self._lock:
            if not self._log.missing(schemas):
                return []
            reason = ""
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return self._write(schemas)
                except KafkaException as error:
                    # Fenced by another writer, or the outcome is unknown: the log tells.
                    what: KafkaError = error.args[0]
                    log.warning("schemas_not_written attempt=%d what=%s", attempt, what.str())
                    reason = what.str()
            raise Unavailable("broker.unavailable", f"schemas could not be written: {reason}")

    def _write(self, schemas: Mapping[str, str]) -> Sequence[Registered]:
        producer = Producer(
            self._connection.client(
                transactional_id=f"{self.topics.prefix}-registry",
                transaction_timeout_ms=10_000,
                # A request repeated after a shorter time-out could decide the next transaction.
                socket_timeout_ms=10_000,
                linger_ms=0,
            )
        )
        producer.init_transactions(WITHIN_S)
        # From here on any other writer is fenced, so what is read now stays the whole truth.
        self._read()
        new = self._log.missing(schemas)
        if not new:
            return new
        producer.begin_transaction()
        for registered in new:
            producer.produce(
                self._place.topic, partition=0, key=_key(registered), value=_value(registered)
            )
        producer.commit_transaction(REQUEST_S)
        self._read()
        if self._log.missing(schemas):
            raise KafkaException(KafkaError(KafkaError._FAIL, "commit was confirmed, not seen"))
        return new

    def _read(self) -> None:
        """Take in what stands between the last reading and the end of the topic."""
        end = self._end()
        if self._next >= end:
            return
        for record in _records(self._connection, self._place.topic, self._next, end):
            registered = _parsed(record)
            if registered is None:
                log.error("schema_record_unreadable offset=%s", record.offset())
            else:
                self._log.add(registered)
        self._next = end

    def _end(self) -> int:
        place = self._place.topic, self._place.partition
        return until_answered(
            lambda: true_ends(self._connection, [place])[place], time.monotonic() + self._within_s
        )


def _records(connection: Connection, topic: str, start: int, end: int) -> Iterator[Message]:
    """The committed records of `[start, end)`. Raises Unavailable where they do not come."""
    consumer = Consumer(
        connection.client(
            group_id="unused",
            isolation_level="read_committed",
            enable_auto_commit=False,
            enable_partition_eof=True,
            fetch_wait_max_ms=10,
        )
    )
    try:
        consumer.assign([TopicPartition(topic, 0, start)])
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            record = consumer.poll(0.5)
            if record is None:
                continue
            error = record.error()
            if error is None:
                yield record
            elif error.code() != KafkaError._PARTITION_EOF:
                raise Unavailable("broker.unavailable", f"schemas not read: {error.str()}")
            # Markers take offsets: only the end of the partition tells that all was seen.
            if (record.offset() or 0) + (error is None) >= end:
                return
        raise Unavailable(
            "broker.unavailable", f"{topic} was not readable to its end, offset {end}"
        )
    finally:
        consumer.close()


def _key(registered: Registered) -> bytes:
    return f"{registered.subject}/{registered.version}".encode()


def _value(registered: Registered) -> bytes:
    return json.dumps(
        {
            "subject": registered.subject,
            "version": registered.version,
            "id": registered.id,
            "schema": registered.schema,
        }
    ).encode()


def _parsed(record: Message) -> Registered | None:
    """What a record says, `None` where it is no record of a schema."""
    try:
        value = json.loads(record.value() or b"")
        registered = Registered(
            str(value["subject"]), int(value["version"]), int(value["id"]), str(value["schema"])
        )
        canonical(registered.schema)
    except (ValueError, KeyError, TypeError):
        return None
    return registered
