"""The topics, as rows: name, key, cleanup and limits (CONTRACT: one partition count for all)."""

from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import murmur2

from domain.contexts import CONTEXTS

DAY_MS = 24 * 60 * 60 * 1000
MIB = 1024 * 1024

_COMMANDS = {
    "cleanup.policy": "delete",
    "retention.ms": str(7 * DAY_MS),
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(MIB),
}
_EVENTS = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": str(7 * DAY_MS),
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(4 * MIB),
}
_OUTCOMES = {
    "cleanup.policy": "delete",
    "retention.ms": str(14 * DAY_MS),
    "message.timestamp.type": "LogAppendTime",
}
_DEAD = {
    "cleanup.policy": "delete",
    "retention.ms": str(30 * DAY_MS),
    "max.message.bytes": str(8 * MIB),
}
_SNAPSHOTS = {"cleanup.policy": "compact", "max.message.bytes": str(4 * MIB)}
_SCHEMAS = {"cleanup.policy": "compact"}
_CHANGELOG = {"cleanup.policy": "compact", "max.message.bytes": str(4 * MIB)}


@dataclass(frozen=True, slots=True)
class Topic:
    """`partitions` is `None` where the one number for all applies."""

    name: str
    settings: dict[str, str]
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of all topics under one prefix (`flexcore` unless tests isolate themselves)."""

    prefix: str = "flexcore"

    def commands(self, context: str) -> str:
        return f"{self.prefix}.{context}.commands"

    def events(self, context: str) -> str:
        return f"{self.prefix}.{context}.events"

    def snapshots(self, context: str) -> str:
        return f"{self.prefix}.{context}.snapshots"

    @property
    def outcomes(self) -> str:
        return f"{self.prefix}.outcomes"

    @property
    def dead(self) -> str:
        return f"{self.prefix}.dead"

    @property
    def schemas(self) -> str:
        return f"{self.prefix}.schemas"

    @property
    def worker_group(self) -> str:
        """The consumer group of the command handlers; their transactional ids start with it."""
        return f"{self.prefix}-worker"

    @property
    def answers_group(self) -> str:
        """The group that holds up to which event each partition's commands are answered."""
        return f"{self.prefix}-answers"

    @property
    def projector_group(self) -> str:
        return f"{self.prefix}-projector"

    def handler_group(self, handler: str) -> str:
        """The consumer group of one event handler."""
        return f"{self.prefix}-handler-{handler}"

    def changelog(self, table: str) -> str:
        """The changelog of a Faust table; the name is Faust's."""
        return f"{self.projector_group}-{table}-changelog"

    def table(self) -> Iterator[Topic]:
        """The rows; `flexcore topics apply` makes them, every service checks them."""
        for context in CONTEXTS:
            yield Topic(self.commands(context), _COMMANDS)
            yield Topic(self.events(context), _EVENTS)
            yield Topic(self.snapshots(context), _SNAPSHOTS)
        yield Topic(self.outcomes, _OUTCOMES)
        yield Topic(self.dead, _DEAD)
        yield Topic(self.schemas, _SCHEMAS, partitions=1)
        for table in ("pipelines", "executions"):
            yield Topic(self.changelog(table), _CHANGELOG)


def partition_of(aggregate_id: str, partitions: int) -> int:
    """The partition of an aggregate, as the Java clients compute it."""
    return int(murmur2(aggregate_id.encode(), partitions))


def event_key(aggregate_id: str, version: int) -> bytes:
    return f"{aggregate_id}#{version:012d}".encode()


def parse_event_key(key: bytes) -> tuple[str, int]:
    """(aggregate id, version). Raises ValueError for a key that is none."""
    aggregate_id, mark, version = key.decode().rpartition("#")
    # int() would also take signs, spaces and underscores: several keys for one event.
    if not mark or len(version) != 12 or not (version.isascii() and version.isdecimal()):
        raise ValueError(f"{key!r} is no event key")
    return aggregate_id, int(version)
