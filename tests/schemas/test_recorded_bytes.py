"""What any release has written is read for ever."""

import json
import struct
from typing import Any

import pytest

from schemas import catalogue
from schemas.codec import Codec
from tests.schemas.golden import SAMPLES, Golden, goldens, readable
from tests.schemas.messages import IDS, plain

RECORDED = list(goldens())


def at_least(read: Any, recorded: Any) -> bool:
    """Whether `read` says what was recorded; later releases may know more fields."""
    if isinstance(recorded, dict):
        return all(at_least(read[name], value) for name, value in recorded.items())
    if isinstance(recorded, list):
        return len(read) == len(recorded) and all(map(at_least, read, recorded))
    return bool(read == recorded)


@pytest.mark.parametrize("golden", RECORDED, ids=lambda golden: golden.record)
def test_a_recorded_message_is_read_as_it_was_meant(golden: Golden) -> None:
    codec = Codec(IDS, {1_000_000: json.dumps(golden.schema)}.get)
    message = codec.decode(struct.pack(">BI", 0, 1_000_000) + bytes.fromhex(golden.body))
    assert catalogue.full_names()[type(message)] == golden.record
    assert at_least(readable(plain(message)), golden.data)


LASTING = [
    name for name, record in catalogue.records().items() if not record.topic.endswith(".snapshots")
]
"""A snapshot of another release is not read; the events it stands for are."""


@pytest.mark.parametrize("name", LASTING)
def test_every_released_schema_has_a_recording(name: str) -> None:
    """Where this fails: `python -m tests.schemas.golden` adds it, and it is never changed again."""
    schema = json.loads(catalogue.committed(name))
    assert any((golden.record, golden.schema) == (name, schema) for golden in RECORDED)


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: type(message).__name__)
def test_todays_bytes_are_the_recorded_ones(message: object) -> None:
    name = catalogue.full_names()[type(message)]
    body = Codec(IDS).encode(message)[5:].hex()
    assert body in [golden.body for golden in RECORDED if golden.record == name]
