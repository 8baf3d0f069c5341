"""Messages become bytes and come back; bytes that make no sense are unreadable, whatever they are."""

import io
import json
import struct
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.definition import OnError
from domain.errors import Unavailable, Unreadable
from domain.pipeline.pipeline import ActivatePipeline, CreatePipeline, PipelineActivated
from schemas import catalogue
from schemas.catalogue import Record
from schemas.codec import HEAD_BYTES, Codec
from schemas.outcome import Outcome
from tests.domain.samples import TWICE, definition, step
from tests.schemas.messages import IDS, NAMES, RECORDS, any_message, codec, messages, plain

CODEC = codec()
ACTIVATE = ActivatePipeline("p1", "it is time")
CREATE = CreatePipeline(
    "p1", "Wetter ☀", "", definition(step("read", retry=TWICE), step("store", "read"))
)


def oracle_bytes(message: Any) -> bytes:
    """What fastavro writes by itself from the committed schema."""
    name = catalogue.full_names()[type(message)]
    out = io.BytesIO()
    schema = fastavro.parse_schema(json.loads(catalogue.committed(name)))
    fastavro.schemaless_writer(out, schema, plain(message))
    return struct.pack(">BI", 0, IDS[name]) + out.getvalue()


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_every_record_comes_back_as_it_was(record: Record) -> None:
    @given(messages(record.cls))
    @settings(max_examples=40, deadline=None)
    def round_trip(message: Any) -> None:
        written = CODEC.encode(message)
        assert CODEC.decode(written) == message
        assert CODEC.name_of(written) == record.full_name
        assert written == oracle_bytes(message)

    round_trip()


def test_the_wire_format_is_confluents() -> None:
    written = CODEC.encode(ACTIVATE)
    assert written[0] == 0
    assert int.from_bytes(written[1:HEAD_BYTES], "big") == IDS["flexcore.pipeline.ActivatePipeline"]
    assert written[HEAD_BYTES:] == b"\x04p1\x14it is time"


# ── what is refused ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("message", [ACTIVATE, CREATE], ids=["flat", "nested"])
def test_a_record_cut_anywhere_is_unreadable(message: Any) -> None:
    whole = CODEC.encode(message)
    for length in range(len(whole)):
        with pytest.raises(Unreadable):
            CODEC.decode(whole[:length])


def test_bytes_after_the_end_are_unreadable() -> None:
    with pytest.raises(Unreadable, match="2 bytes follow the end"):
        CODEC.decode(CODEC.encode(ACTIVATE) + b"{}")


@pytest.mark.parametrize(
    "value", [b"", b"\0", b"\0\0\0\0", b"\1\0\0\0\1", b'{"pipeline_id": "p1"}']
)
def test_what_is_not_the_wire_format_is_unreadable(value: bytes) -> None:
    with pytest.raises(Unreadable, match="does not start with 0x00 and a schema id") as refused:
        CODEC.name_of(value)
    assert refused.value.code == "command.unreadable"


def test_an_id_that_nobody_registered_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="schema id 999 is not registered"):
        CODEC.decode(struct.pack(">BI", 0, 999) + b"\x04p1\x00")


def test_text_that_is_no_utf8_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        CODEC.decode(CODEC.encode(ACTIVATE).replace(b"it is", b"\xff\xfe\xfd\xfc\xfb"))


@given(st.binary(max_size=60), st.sampled_from(sorted(IDS.values())))
@settings(max_examples=500, deadline=None)
def test_garbage_is_unreadable_or_a_message_but_never_another_error(body: bytes, id_: int) -> None:
    try:
        message = CODEC.decode(struct.pack(">BI", 0, id_) + body)
    except Unreadable:
        return
    assert type(message) in catalogue.full_names()


@given(any_message(), st.data())
@settings(max_examples=300, deadline=None)
def test_a_flipped_byte_is_unreadable_or_a_message(message: Any, data: st.DataObject) -> None:
    damaged = bytearray(CODEC.encode(message))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] ^= data.draw(st.integers(1, 255))
    try:
        found = CODEC.decode(bytes(damaged))
    except Unreadable:
        return
    assert type(found) in catalogue.full_names()


def test_a_length_that_promises_more_than_there_is_takes_no_memory() -> None:
    huge = struct.pack(">BI", 0, IDS["flexcore.pipeline.ActivatePipeline"])
    with pytest.raises(Unreadable):
        CODEC.decode(huge + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" + b"p1")


@pytest.mark.parametrize(
    ("message", "mib"),
    [(ACTIVATE, 1), (PipelineActivated("p1", "me", datetime(2026, 11, 1, tzinfo=UTC), ""), 4)],
    ids=["command", "event"],
)
def test_what_no_topic_takes_is_not_looked_at(message: Any, mib: int) -> None:
    """What a client compressed can be larger than its topic's limit."""
    largest = replace(message, reason="x" * (mib * 2**20 - 100))
    assert CODEC.decode(CODEC.encode(largest)) == largest
    over = replace(message, reason="x" * (mib * 2**20))
    with pytest.raises(Unreadable, match=f"at most {mib * 2**20} are read"):
        CODEC.decode(CODEC.encode(over))
    foreign = Codec(IDS, {77: catalogue.committed(catalogue.full_names()[type(message)])}.get)
    with pytest.raises(Unreadable, match=f"at most {mib * 2**20} are read"):
        foreign.decode(struct.pack(">BI", 0, 77) + CODEC.encode(over)[HEAD_BYTES:])


# ── other writers ────────────────────────────────────────────────────────────────────────

NAME = "flexcore.pipeline.ActivatePipeline"


def written_by(schema: dict[str, Any], value: dict[str, Any], *, schema_id: int = 77) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return struct.pack(">BI", 0, schema_id) + out.getvalue()


def ours() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(catalogue.committed(NAME))
    return schema


def knowing(schema: object) -> Codec:
    return Codec(IDS, {77: json.dumps(schema)}.get)


def test_a_newer_writers_field_is_passed_over() -> None:
    newer = ours()
    newer["fields"].append({"name": "urgency", "type": "int", "default": 0})
    value = written_by(newer, {"pipeline_id": "p1", "reason": "now", "urgency": 3})
    assert knowing(newer).decode(value) == ActivatePipeline("p1", "now")
    assert knowing(newer).name_of(value) == NAME


def test_a_writer_that_orders_fields_otherwise_is_understood() -> None:
    other = ours()
    other["fields"].reverse()
    value = written_by(other, {"pipeline_id": "p1", "reason": "now"})
    assert knowing(other).decode(value) == ActivatePipeline("p1", "now")


def test_a_writer_without_a_field_that_we_need_is_unreadable() -> None:
    poorer = ours()
    del poorer["fields"][1]
    with pytest.raises(Unreadable):
        knowing(poorer).decode(written_by(poorer, {"pipeline_id": "p1"}))


def test_a_newer_writers_symbol_is_read_as_the_default() -> None:
    name = "flexcore.pipeline.CreatePipeline"
    newer = json.loads(catalogue.committed(name).replace('"continue"', '"continue","ignore"'))
    value = plain(CREATE)
    value["definition"]["steps"][0]["on_error"] = "ignore"
    read = Codec(IDS, {77: json.dumps(newer)}.get).decode(written_by(newer, value))
    assert read == CREATE
    assert read.definition.steps[0].on_error is OnError.FAIL


@pytest.mark.parametrize(
    "schema",
    [
        "int",
        ["null", "string"],
        {"type": "array", "items": "int"},
        {"type": "record", "name": "Note", "namespace": "elsewhere", "fields": []},
        {"type": "record", "name": "Broken", "fields": [{"name": "x", "type": "nothing"}]},
        {"type": "enum", "name": "flexcore.pipeline.ActivatePipeline", "symbols": ["A"]},
        {},
        [],
        7,
    ],
)
def test_an_id_that_is_no_record_of_ours_is_unreadable(schema: object) -> None:
    """A registry that others use too knows many ids."""
    with pytest.raises(Unreadable):
        knowing(schema).decode(struct.pack(">BI", 0, 77) + b"\0")


def test_a_registry_that_is_away_is_not_the_records_fault() -> None:
    """Or a good record would be put aside as unreadable."""

    def away(_: int) -> str | None:
        raise Unavailable("broker.unavailable", "no answer")

    with pytest.raises(Unavailable):
        Codec(IDS, away).decode(struct.pack(">BI", 0, 77) + b"\0")


def test_a_schema_is_asked_for_once() -> None:
    asked: list[int] = []

    def look(schema_id: int) -> str | None:
        asked.append(schema_id)
        return catalogue.committed(NAME)

    reader = Codec(IDS, look)
    for _ in range(3):
        reader.decode(written_by(ours(), {"pipeline_id": "p1", "reason": ""}))
    assert asked == [77]


def test_versions_are_longs() -> None:
    answer = Outcome("p1", (2**40,), "pipeline/0@7", "", "")
    assert CODEC.decode(CODEC.encode(answer)) == answer
    assert CODEC.decode(CODEC.encode(replace(answer, versions=()))).versions == ()
