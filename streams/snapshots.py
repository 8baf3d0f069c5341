"""Snapshots: the state an aggregate's event led to, beside the events and never instead of them.

lane's transaction ──► flexcore.<context>.snapshots ──► tailer ──► index ──► fold of what follows

One is believed only where the very event that it was written with stands in the index, and where
states of its kind still look and mean the same. Any other is passed over and the events are folded.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from domain.contexts import CONTEXTS
from schemas import catalogue
from streams.records import DEFAULT_TENANT, EventRecord, Headers, header_map, text, time_text
from streams.topics import MIB

MAX_BYTES_PER_TURN = 4 * MIB - 64 * 1024
"""What the topic takes of one; of all together since they can wait and commands cannot."""


class Snapshot(NamedTuple):
    """As it was read; `value` is `None` where it was deleted."""

    context: str
    aggregate_id: str
    version: int
    partition: int
    offset: int
    value: bytes | None
    event_id: str
    event_hash: str
    state_hash: str


def snapshots_place(context: str) -> str:
    """The name under which a context's snapshots stand beside the contexts in positions."""
    return f"{context}.snapshots"


def snapshots_context(place: str) -> str:
    return place.removesuffix(".snapshots")


def snapshot_read(
    context: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, Any]] | None,
) -> Snapshot:
    """The record that a consumer read. Raises ValueError for a foreign one."""
    found = header_map(headers)
    if not key:
        raise ValueError("a snapshot's key is the id of its aggregate")
    return Snapshot(
        context,
        key.decode(),
        0 if value is None else int(text(found, "ce_aggregateversion")),
        partition,
        offset,
        value,
        text(found, "ce_eventid"),
        text(found, "ce_eventhash"),
        text(found, "ce_statehash"),
    )


def snapshot_headers(event: EventRecord, state: Any, at: datetime, source: str) -> Headers:
    """What tells which event the state belongs to, and what the state's form and meaning are."""
    cls: Any = type(state)
    event_id, of_state = event.event_id, state_hash(event.context, cls)
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{event_id}:{of_state[:16]}".encode()),
        ("ce_source", source.encode()),
        ("ce_type", catalogue.full_names()[cls].encode()),
        ("ce_time", time_text(at).encode()),
        ("ce_subject", event.aggregate_id.encode()),
        ("content-type", b"application/avro"),
        ("ce_tenantid", DEFAULT_TENANT.encode()),
        ("ce_aggregateversion", b"%d" % event.version),
        ("ce_eventid", event_id.encode()),
        ("ce_eventhash", event_hash(event).encode()),
        ("ce_statehash", of_state.encode()),
    ]


def stands_for(snapshot: Snapshot, event: EventRecord) -> bool:
    """Whether a snapshot is of this very event, where it stands."""
    same = snapshot.event_id == event.event_id
    return same and snapshot.event_hash == event_hash(event)


def event_hash(event: EventRecord) -> str:
    """sha256 over an event's offset, time and body, in hex.

    The id alone would not do: it is made of command and version, and a command whose transaction
    was lost is judged again, maybe behind others than before. The time is that turn's. The offset
    is that of its first copy: an event that stands further back may stand behind redacted ones.
    """
    head = b"%d\0%b\0" % (event.offset, event.headers.get("ce_time", b""))
    return hashlib.sha256(head + (event.value or b"")).hexdigest()


@cache
def state_hash(context: str, cls: type) -> str:
    """sha256 over what a state looks like (its schema) and what it means (the decider's word)."""
    meaning = CONTEXTS[context].decider.state_version
    schema = catalogue.committed(catalogue.full_names()[cls])
    return hashlib.sha256(f"{meaning}\0{schema}".encode()).hexdigest()
