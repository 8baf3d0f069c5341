"""Decided events in wire form: key, Avro value and the headers that tell where they come from."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.errors import TooLarge
from schemas import catalogue
from schemas.codec import Codec
from streams.records import ANONYMOUS, DEFAULT_TENANT, event_id, time_text
from streams.topics import MIB, event_key
from streams.verdicts import NewEvent

MAX_EVENT_BYTES = 4 * MIB - 64 * 1024
"""The topic takes 4 MiB with key, headers and batch overhead."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where events come from, as their headers tell it."""

    command_id: uuid.UUID
    content: str
    source: bytes
    correlation_id: str
    causation_id: str
    traceparent: str = ""

    def headers(self, aggregate_id: str, at: datetime, count: int) -> list[tuple[str, bytes]]:
        actor = b"engine" if self.source == b"flexcore/engine" else ANONYMOUS.encode()
        found = [
            ("ce_specversion", b"1.0"),
            ("ce_source", self.source),
            ("ce_time", time_text(at).encode()),
            ("ce_subject", aggregate_id.encode()),
            ("content-type", b"application/avro"),
            ("ce_tenantid", DEFAULT_TENANT.encode()),
            ("ce_actorid", actor),
            ("ce_correlationid", self.correlation_id.encode()),
            ("ce_causationid", self.causation_id.encode()),
            ("ce_commandid", str(self.command_id).encode()),
            ("ce_commandhash", self.content.encode()),
            ("ce_txncount", str(count).encode()),
        ]
        if self.traceparent:
            found.append(("traceparent", self.traceparent.encode()))
        return found


@dataclass(frozen=True, slots=True)
class Home:
    """Where an aggregate's events stand."""

    context: str
    aggregate_id: str
    partition: int


def new_events(
    home: Home, version: int, events: Sequence[Any], source: Source, at: datetime, codec: Codec
) -> list[NewEvent]:
    """The events after `version`. Raises TooLarge for one that no topic takes."""
    shared = source.headers(home.aggregate_id, at, len(events))
    found = []
    for index, event in enumerate(events):
        number = version + 1 + index
        value = codec.encode(event)
        if len(value) > MAX_EVENT_BYTES:
            raise TooLarge(
                "command.too_large",
                f"the event would be {len(value)} bytes; at most {MAX_EVENT_BYTES} fit",
            )
        event_uuid = event_id(source.command_id, home.context, home.aggregate_id, number)
        headers = [
            ("ce_id", event_uuid.encode()),
            ("ce_type", catalogue.full_names()[type(event)].encode()),
            ("ce_aggregateversion", str(number).encode()),
            ("ce_txnindex", str(index).encode()),
            *shared,
        ]
        key = event_key(home.aggregate_id, number)
        found.append(
            NewEvent(
                home.context,
                home.partition,
                home.aggregate_id,
                number,
                event,
                key,
                value,
                headers,
            )
        )
    return found
