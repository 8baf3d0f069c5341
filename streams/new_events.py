"""Decided events in wire form: key, Avro value and the headers that tell where they come from."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from domain.errors import TooLarge
from domain.quick_init import quick_init
from schemas import catalogue
from schemas.codec import Codec
from streams.records import ANONYMOUS, DEFAULT_TENANT, event_id, time_text
from streams.topics import MIB, event_key
from streams.verdicts import NewEvent

MAX_EVENT_BYTES = 4 * MIB - 64 * 1024
"""The topic takes 4 MiB with key, headers and batch overhead."""


_SPEC_VERSION = ("ce_specversion", b"1.0")
_AVRO = ("content-type", b"application/avro")
_TENANT = ("ce_tenantid", DEFAULT_TENANT.encode())
_ACTOR = ("ce_actorid", ANONYMOUS.encode())
_ENGINE_ACTOR = ("ce_actorid", b"engine")


@quick_init
@dataclass(frozen=True, slots=True)
class Source:
    """Where events come from, as their headers tell it; `command_id` in canonical form."""

    command_id: uuid.UUID | str
    content: str
    source: bytes
    correlation_id: str
    causation_id: str
    traceparent: str = ""

    def headers(self, aggregate_id: str, at: datetime, count: int) -> list[tuple[str, bytes]]:
        found = [
            _SPEC_VERSION,
            ("ce_source", self.source),
            ("ce_time", time_text(at).encode()),
            ("ce_subject", aggregate_id.encode()),
            _AVRO,
            _TENANT,
            _ENGINE_ACTOR if self.source == b"flexcore/engine" else _ACTOR,
            ("ce_correlationid", self.correlation_id.encode()),
            ("ce_causationid", self.causation_id.encode()),
            ("ce_commandid", str(self.command_id).encode()),
            ("ce_commandhash", self.content.encode()),
            ("ce_txncount", b"%d" % count),
        ]
        if self.traceparent:
            found.append(("traceparent", self.traceparent.encode()))
        return found


@quick_init
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
        kind: Any = type(event)
        number = version + 1 + index
        value = codec.encode(event)
        if len(value) > MAX_EVENT_BYTES:
            raise TooLarge(
                "command.too_large",
                f"the event would be {len(value)} bytes; at most {MAX_EVENT_BYTES} fit",
            )
        own_id = event_id(source.command_id, home.context, home.aggregate_id, number)
        headers = [
            ("ce_id", own_id.encode()),
            _type_header(kind),
            ("ce_aggregateversion", b"%d" % number),
            ("ce_txnindex", b"%d" % index),
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


@cache
def _type_header(cls: Any) -> tuple[str, bytes]:
    return "ce_type", catalogue.full_names()[cls].encode()
