"""Schemas that somebody else registered under our names: read where they make sense, and cheaply."""

import json
import struct
from typing import Any

import pytest

from domain.errors import Unreadable
from domain.pipeline.pipeline import ActivatePipeline
from schemas import catalogue
from schemas.codec import Codec
from schemas.foreign import MAX_HEIGHT
from tests.schemas.messages import IDS

NAME = "flexcore.pipeline.ActivatePipeline"
OURS = b"\4p1\6now"


def with_field(kind: Any) -> str:
    """Our schema with one more field, which a reader passes over."""
    schema = json.loads(catalogue.committed(NAME))
    schema["fields"].append({"name": "more", "type": kind})
    return json.dumps(schema)


def read(kind: Any, more: bytes) -> Any:
    return Codec(IDS, {77: with_field(kind)}.get).decode(struct.pack(">BI", 0, 77) + OURS + more)


def record(name: str, *types: Any) -> dict[str, Any]:
    fields = [{"name": f"f{n}", "type": kind} for n, kind in enumerate(types)]
    return {"type": "record", "name": name, "namespace": "other", "fields": fields}


def chain(height: int, leaf: Any) -> Any:
    """Records within records."""
    for level in range(height):
        leaf = record(f"L{level}", leaf)
    return leaf


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (["null", "long"], b"\2\4"),
        (record("Empty", ["null", "string"]), b"\0"),
        ({"type": "array", "items": ["null", "string"]}, b"\2\0\0"),
        ({"type": "map", "values": "bytes"}, b"\2\2k\2v\0"),
        ({"type": "fixed", "name": "F", "size": 2}, b"ab"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\0"),
        (record("Twice", record("Inner", "int"), "other.Inner"), b"\2\4"),
        (chain(MAX_HEIGHT - 4, "int"), b"\2"),
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
    with pytest.raises(Unreadable, match="nested more than 64 deep"):
        read(kind, b"\2" * 100_000 + b"\0")


@pytest.mark.parametrize(
    "items",
    ["null", {"type": "null"}, record("Nothing"), {"type": "fixed", "name": "F", "size": 0}],
)
def test_items_of_no_bytes_are_unreadable(items: Any) -> None:
    """Six bytes could stand for a billion of them."""
    with pytest.raises(Unreadable, match="no bytes"):
        read({"type": "array", "items": items}, b"\xfe\xff\xff\xff\x0f\0")


def test_a_schema_that_is_too_high_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="deep"):
        read(chain(MAX_HEIGHT + 1, "int"), b"\2")


def test_names_that_are_used_twice_on_each_level_are_looked_at_once() -> None:
    """Or a schema of 2 KB would take 2^50 looks."""
    kind: Any = record("L0", "int")
    for level in range(1, 50):
        kind = record(f"L{level}", kind, f"other.L{level - 1}")
    with pytest.raises(Unreadable, match="does not follow its schema"):
        read(kind, b"\2\2")
