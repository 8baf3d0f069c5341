"""Records of the model's logs as the write path's own types, and back."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from streams.answers import Answer, outcome_headers, outcome_value, read_outcome
from streams.records import EventRecord, event_record, header_map
from streams.snapshots import Snapshot, snapshot_read, snapshots_context
from streams.tailer import due
from streams.turn import Place
from streams.verdicts import CommandRecord
from tests.simulation.log import Content, Record
from tests.simulation.places import CODEC


def event_records(place: Place, records: Sequence[Record]) -> list[EventRecord]:
    return [
        event_record(*place, r.offset, r.at_ms, r.key or b"", r.value, r.headers) for r in records
    ]


def snapshots_in(place: Place, records: Sequence[Record]) -> list[Snapshot]:
    context = snapshots_context(place[0])
    return [snapshot_read(context, place[1], r.offset, r.key, r.value, r.headers) for r in records]


def command_records(place: Place, records: Sequence[Record]) -> list[CommandRecord]:
    return [CommandRecord(*place, r.offset, r.at_ms, r.key, r.value, r.headers) for r in records]


def answers_read(records: Sequence[Record]) -> list[tuple[Answer, int]]:
    """(answer, broker time in ms) of outcomes."""
    return [(answer_in(r), r.at_ms) for r in records]


def answer_in(record: Record) -> Answer:
    return _answer(tuple(record.headers), record.value or b"")


@lru_cache(maxsize=4_096)
def _answer(headers: tuple[tuple[str, bytes], ...], value: bytes) -> Answer:
    return read_outcome(header_map(headers), value, CODEC)


def outcome(answer: Answer, at: datetime) -> Content:
    """The record that gives an answer."""
    key = answer.identity.command_id.encode()
    return Content(key, outcome_value(answer, CODEC), outcome_headers(answer, at))


def answers_of(events: Sequence[EventRecord]) -> list[Answer]:
    return [answer for event in events for answer in due(event)]
