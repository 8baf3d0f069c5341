"""Schemas that somebody else registered under our names: read where they make sense, and cheaply."""

import json
import struct
import time
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import Unreadable
from domain.pipeline.pipeline import ActivatePipeline, PipelineActivated
from schemas import catalogue, wire
from schemas.admission import MAX_BYTES, MAX_FIELDS, MAX_HEIGHT, MAX_LONE, admitted
from schemas.codec import Codec
from tests.schemas.messages import IDS

NAME = "flexcore.pipeline.ActivatePipeline"
OURS = b"\4p1\6now"


def with_field(kind: Any) -> str:
    """Our schema with one more field, which a reader passes over."""
    schema = json.loads(catalogue.committed(NAME))
    schema["fields"].append({"name": "more", "type": kind})
    return json.dumps(schema)


LONGS = {"type": "array", "items": "long"}


def read(kind: Any, more: bytes) -> Any:
    return Codec(IDS, {77: with_field(kind)}.get).decode(struct.pack(">BI", 0, 77) + OURS + more)


def record(name: str, *types: Any) -> dict[str, Any]:
    fields = [{"name": f"f{n}", "type": kind} for n, kind in enumerate(types)]
    return {"type": "record", "name": name, "namespace": "other", "fields": fields}


def chain(height: int, leaf: Any) -> Any:
    """Records within records, each with a number beside it."""
    for level in range(height):
        leaf = record(f"L{level}", "int", leaf)
    return leaf


def lone(height: int, leaf: Any) -> Any:
    """Records of one field within each other."""
    for level in range(height):
        leaf = record(f"L{level}", leaf)
    return leaf


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (["null", "long"], b"\2\4"),
        (record("Empty", ["null", "string"]), b"\0"),
        (["int", record("Nothing")], b"\2"),
        ({"type": "map", "values": [record("Nothing"), "null"]}, b"\4\2a\0\2b\2\0"),
        ({"type": "array", "items": ["null", "string"]}, b"\2\0\0"),
        ({"type": "map", "values": "bytes"}, b"\2\2k\2v\0"),
        ({"type": "fixed", "name": "F", "size": 2}, b"ab"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\0"),
        (record("Twice", record("Inner", "int"), "other.Inner"), b"\2\4"),
        (chain(MAX_HEIGHT - 4, "int"), b"\2" * (MAX_HEIGHT - 3)),
        (lone(MAX_LONE, "int"), b"\2"),
    ],
)
def test_what_else_a_record_holds_is_passed_over(kind: Any, more: bytes) -> None:
    assert read(kind, more) == ActivatePipeline("p1", "now")


@pytest.mark.parametrize(
    "kind",
    [
        ["null", record("Node", ["null", "other.Node"])],
        {"type": "array", "items": record("Tree", {"type": "array", "items": "other.Tree"})},
        {"type": "map", "values": record("A", record("B", ["null", "other.A"]))},
    ],
)
def test_a_record_that_contains_itself_is_unreadable(kind: Any) -> None:
    """20,000 levels take 20 KB and end the process that reads them."""
    with pytest.raises(Unreadable, match="nested more than 32 deep"):
        read(kind, b"\2" * 100_000 + b"\0")


@pytest.mark.parametrize(
    "items",
    ["null", {"type": "null"}, record("Nothing"), {"type": "fixed", "name": "F", "size": 0}],
)
def test_items_of_no_bytes_are_unreadable(items: Any) -> None:
    """Six bytes could stand for a billion of them."""
    with pytest.raises(Unreadable, match="no bytes"):
        read({"type": "array", "items": items}, b"\xfe\xff\xff\xff\x0f\0")


@pytest.mark.parametrize(
    "kind", ["null", record("Nothing"), record("A", "int", "null"), record("A", record("B"))]
)
def test_fields_of_no_bytes_are_unreadable(kind: Any) -> None:
    """500 of them would be looked at for each byte of an array."""
    with pytest.raises(Unreadable, match="no bytes"):
        read(kind, b"\0")


def test_a_schema_that_is_too_high_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="deep"):
        read(chain(MAX_HEIGHT + 1, "int"), b"\2")


def test_names_that_are_used_twice_on_each_level_are_looked_at_once() -> None:
    """Or a schema of 2 KB would take 2^28 looks."""
    kind: Any = record("L0", "int")
    for level in range(1, 28):
        kind = record(f"L{level}", kind, f"other.L{level - 1}")
    with pytest.raises(Unreadable, match="does not follow its schema"):
        read(kind, b"\2\2")


# ── what a schema may be ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", catalogue.records())
def test_our_own_schemas_would_be_admitted(name: str) -> None:
    admitted(catalogue.committed(name))


def enum(name: str, *symbols: str) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": symbols}


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (record("Wide", *["int"] * MAX_FIELDS), f"over {MAX_FIELDS} fields"),
        (record("A", record("B", *["int"] * 300), record("C", *["int"] * 300)), "over 500 fields"),
        (enum("E", *[f"symbol_{n}" for n in range(6_000)]), f"at most {MAX_BYTES} are allowed"),
        (enum("n" * 129, "A"), "is no name"),
        (enum("E", "A", "not-a-name"), "is no name"),
        (enum("1st", "A"), "is no name"),
        (enum("a..b", "A"), "is no name"),
        ({"type": "record", "name": "R", "fields": [{"name": "é", "type": "int"}]}, "is no name"),
        ({"type": "record", "name": "R", "fields": ["int"]}, "is no field"),
        ({"type": "fixed", "name": "F", "size": "2"}, "fixed"),
        ({"type": "fixed", "name": "F", "size": -2}, "no bytes"),
        ([["int"]], "union stands directly in a union"),
        (7, "is no schema"),
        (lone(MAX_LONE + 1, "int"), "over 4 records of one field"),
        (record("Over", "long", lone(MAX_LONE + 1, LONGS)), "over 4 records of one field"),
        ({"type": {"type": {"type": None}}}, "is no schema"),
        ("other.Unknown", "UnknownType"),
        (json.loads("[" * 900 + "]" * 900), "union"),
        (json.loads('{"type":' * 300 + '"int"' + "}" * 300), "nested more than 32 deep"),
    ],
)
def test_a_schema_that_is_none_or_too_large_is_unreadable(kind: Any, what: str) -> None:
    with pytest.raises(Unreadable, match=what):
        read(kind, b"\2")


@pytest.mark.parametrize("text", ["[" * 30_000, '{"type":' * 7_000, "nonsense", "", "\ufeff1"])
def test_text_that_is_no_schema_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match="its schema makes no sense"):
        Codec(IDS, {77: text}.get).decode(struct.pack(">BI", 0, 77) + OURS)


def test_what_fastavro_writes_into_schemas_itself_is_not_believed() -> None:
    """It takes a schema that says that it is parsed for one that is."""
    loop = record("Loop", "other.Loop")
    kind = {"type": "record", "name": "R", "fields": [{"name": "f", "type": "other.Loop"}]}
    schema = json.loads(with_field(kind)) | {
        "__fastavro_parsed__": True,
        "__named_schemas": {"other.Loop": loop},
    }
    with pytest.raises(Unreadable, match="its schema makes no sense"):
        Codec(IDS, {77: json.dumps(schema)}.get).decode(struct.pack(">BI", 0, 77) + OURS + b"\0")


# ── what a body may be ───────────────────────────────────────────────────────────────────

STRINGS = {"type": "map", "values": "string"}
TEN = b"\xff" * 9 + b"\1"
"""The lowest number of 64 bits."""


@pytest.mark.parametrize(
    ("kind", "more", "what"),
    [
        (["null", "int"], b"\1", "branch -1 of 2"),
        (["null", "int"], b"\4", "branch 2 of 2"),
        (enum("E", "A", "B"), b"\1", "symbol -1 of 2"),
        (enum("E", "A", "B"), b"\4", "symbol 2 of 2"),
        ("long", b"\xff" * 10 + b"\1", "more than ten bytes"),
        ("long", b"\xff" * 9 + b"\2", "more than 64 bits"),
        ("int", wire.ZIGZAG[2**31], "more than 32 bits"),
        ("boolean", b"\2", "neither true nor false"),
        ("string", b"\1", "a length of -1"),
        ("bytes", TEN, "a length of"),
        ("bytes", wire.ZIGZAG[2**62] + b"x", "too early"),
        ({"type": "fixed", "name": "F", "size": 2**62}, b"x", "too early"),
        ("double", b"1234567", "too early"),
        (LONGS, wire.ZIGZAG[2**62] + b"\0" * 9, "items in"),
        (LONGS, TEN + b"\0" * 9, "items in"),
        (LONGS, wire.ZIGZAG[-2] + b"\2\0\0\0", "says that it has 1"),
        (LONGS, wire.ZIGZAG[-2] + b"\1\0\0\0", "a length of -1"),
        (LONGS, b"\4\0\0", "IndexError"),
        (STRINGS, wire.ZIGZAG[2**40] + b"\2a\2b\0", "items in"),
        (STRINGS, b"\2\2a\1", "a length of -1"),
        ("int", b"\2\2", "1 bytes follow the end"),
        (LONGS, b"\0\0", "1 bytes follow the end"),
    ],
)
def test_a_body_of_another_schema_is_followed_as_strictly_as_ours(
    kind: Any, more: bytes, what: str
) -> None:
    with pytest.raises(Unreadable, match=what):
        read(kind, more)


@pytest.mark.parametrize(
    "kind",
    [
        LONGS,
        {"type": "array", "items": lone(4, "int")},
        {"type": "array", "items": record("Pair", lone(4, "int"), ["null", "int"])},
        {"type": "map", "values": "boolean"},
    ],
)
@pytest.mark.parametrize("count", [b"", b"\xfe\xff\x7f"], ids=["without an end", "too many"])
def test_a_body_costs_no_more_than_its_bytes(kind: Any, count: bytes) -> None:
    codec = Codec(IDS, {77: with_field(kind)}.get)
    head = struct.pack(">BI", 0, 77) + OURS
    data = head + count + wire.ZIGZAG[200_000] + b"\0" * 2**18
    codec.known_name(data)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(Unreadable):
        codec.decode(data)
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 10
    assert peak < 5 * 2**20


@pytest.mark.parametrize("logical", ["uuid", "decimal", "date", "time-micros"])
def test_a_kind_of_value_that_our_records_do_not_have_is_not_built(logical: str) -> None:
    """fastavro would make a UUID of the text, which then is no id any more."""
    schema = json.loads(catalogue.committed(NAME))
    schema["fields"][0]["type"] = {"type": "string", "logicalType": logical}
    value = struct.pack(">BI", 0, 77) + OURS
    assert Codec(IDS, {77: json.dumps(schema)}.get).decode(value) == ActivatePipeline("p1", "now")


def test_a_time_that_is_a_mere_number_is_unreadable() -> None:
    name = "flexcore.pipeline.PipelineActivated"
    schema = catalogue.committed(name)
    mere = schema.replace('{"type":"long","logicalType":"timestamp-micros"}', '"long"')
    assert mere != schema
    event = PipelineActivated("p1", "me", datetime(2026, 11, 1, tzinfo=UTC), "")
    body = Codec(IDS).encode(event)[5:]
    value = struct.pack(">BI", 0, 77) + body
    assert Codec(IDS, {77: schema}.get).decode(value) == event
    with pytest.raises(Unreadable, match=r"at: .* is a int; it must be datetime"):
        Codec(IDS, {77: mere}.get).decode(value)
