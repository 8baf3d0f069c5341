"""Records as they stand on topics: CloudEvents headers, commands, events, outcomes."""

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from domain.errors import Invalid
from schemas.codec import HEAD_BYTES
from streams.topics import parse_event_key

Headers = Sequence[tuple[str, bytes]]

NAMESPACE = uuid.UUID("6f0d3f2e-5f0c-5d5e-9a43-0a2b6a1f7c11")
"""Of command ids made from idempotency keys that are no UUIDs, and of derived ids."""

ANONYMOUS = "anonymous"
DEFAULT_TENANT = "default"


def header_map(headers: Iterable[tuple[str, Any]] | None) -> dict[str, bytes]:
    """The headers by name; where a name repeats, the first one counts."""
    found = dict(list(headers or ())[::-1])
    for value in found.values():
        if type(value) is not bytes:
            return {name: _bytes(value) for name, value in found.items()}
    return found


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value or "").encode()


def text(headers: Mapping[str, bytes], name: str, default: str = "") -> str:
    """A header as text; bytes that are no UTF-8 count as absent."""
    value = headers.get(name)
    if value is None:
        return default
    try:
        return value.decode()
    except UnicodeDecodeError:
        return default


def time_text(moment: datetime) -> str:
    return _utc_text(moment if moment.tzinfo is UTC else moment.astimezone(UTC))


@lru_cache(maxsize=64)
def _utc_text(moment: datetime) -> str:
    """All events of a turn, and all answers of a batch, have one time."""
    return moment.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class ExpectedVersion:
    """The version a command wants to find: a number, `none`, `exists` or `any`."""

    mode: str
    number: int = 0

    def accepts(self, version: int) -> bool:
        """Whether an aggregate whose last event has `version` (0 = no events) will do."""
        if self.mode == "exact":
            return version == self.number
        return self.mode == "any" or (version > 0) == (self.mode == "exists")

    def __str__(self) -> str:
        return str(self.number) if self.mode == "exact" else self.mode


ANY = ExpectedVersion("any")


@lru_cache(maxsize=1_024)
def parse_expected_version(value: str) -> ExpectedVersion:
    """The mode in a header or option; empty = any. Raises Invalid."""
    if value in ("any", "none", "exists"):
        return ExpectedVersion(value)
    if value == "":
        return ANY
    if value.isascii() and value.isdecimal() and len(value) <= 18:
        return ExpectedVersion("exact", int(value))
    raise Invalid(
        "command.invalid_expected_version",
        f"expected version {value[:40]!r}; it must be a number, none, exists or any",
    )


def command_hash(record_name: str, value: bytes, expected: ExpectedVersion) -> str:
    """sha256 over record name, body without schema id, and expected version, in hex."""
    parts = record_name.encode(), value[HEAD_BYTES:], str(expected).encode()
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def event_id(command_id: uuid.UUID | str, context: str, aggregate_id: str, version: int) -> str:
    """The UUID of version 5 that follows from the command and the event's place.

    Text by text, as `uuid.uuid5` takes five times as long; `command_id` is in canonical form.
    """
    space = bytes.fromhex(str(command_id).replace("-", ""))
    name = f"{context}/{aggregate_id}#{version}".encode()
    found = hashlib.sha1(space + name, usedforsecurity=False).hexdigest()
    variant = "89ab"[int(found[16], 16) & 3]
    return f"{found[:8]}-{found[8:12]}-5{found[13:16]}-{variant}{found[17:20]}-{found[20:32]}"


class Identity(NamedTuple):
    """Of a command: the same identity takes effect once and always gets the same answer."""

    context: str
    aggregate_id: str
    command_id: str


class EventRecord(NamedTuple):
    """An event where it stands in the log; `value` is `None` where the event was pruned."""

    context: str
    aggregate_id: str
    version: int
    partition: int
    offset: int
    timestamp_ms: int
    value: bytes | None
    headers: Mapping[str, bytes]

    @property
    def event_id(self) -> str:
        return text(self.headers, "ce_id")

    @property
    def command_id(self) -> str:
        return text(self.headers, "ce_commandid")

    @property
    def type(self) -> str:
        return text(self.headers, "ce_type")

    @property
    def identity(self) -> Identity:
        return Identity(self.context, self.aggregate_id, self.command_id)


def event_record(
    context: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes,
    value: bytes | None,
    headers: Iterable[tuple[str, Any]] | None,
) -> EventRecord:
    """The record that a consumer read from an event topic. Raises ValueError for a foreign key."""
    aggregate_id, version = parse_event_key(key)
    return EventRecord(
        context,
        aggregate_id,
        version,
        partition,
        offset,
        timestamp_ms,
        value,
        header_map(headers),
    )
