"""What is called compatible can be read; what is not is named with its place."""

import io
import json
from typing import Any, get_args

import fastavro
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from schemas import catalogue
from schemas.compatibility import MAX_BYTES, breaks, parsed
from schemas.levels import Level, level_of
from streams.topics import Topics
from tests.schemas.avro_schemas import changed, names_of, schemas, values
from tests.schemas.messages import NAMES


def record(*fields: tuple[Any, ...], name: str = "R") -> Any:
    """Fields as (name, type) or (name, type, default)."""
    found = [dict(zip(("name", "type", "default"), field, strict=False)) for field in fields]
    return {"type": "record", "name": name, "namespace": "a", "fields": found}


def places(new: Any, *older: Any, level: Level = "FULL_TRANSITIVE") -> list[tuple[int, str, str]]:
    """(version, direction, field) of each break."""
    versions = [(number, parsed(json.dumps(old))) for number, old in enumerate(older, start=1)]
    found = breaks(parsed(json.dumps(new)), versions, level)
    return [(one.version, one.direction, one.field) for one in found]


# ── the property ─────────────────────────────────────────────────────────────────────────


def valid(schema: Any) -> Any:
    """As fastavro and Apache's library take it; anything else is no example."""
    try:
        fastavro.parse_schema(schema)
        return parsed(json.dumps(schema))
    except Exception:
        assume(False)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_is_compatible_can_be_read(data: st.DataObject) -> None:
    """By fastavro, which reads for us, whatever the writer's schema allows to be written."""
    writer = data.draw(schemas())
    reader = data.draw(changed(writer))
    if breaks(valid(reader), [(1, valid(writer))], "BACKWARD"):
        event("incompatible")
        return
    event("compatible" if reader != writer else "the same")
    value = data.draw(values(writer, names_of(writer)))
    ours, theirs = fastavro.parse_schema(reader), fastavro.parse_schema(writer)
    body = io.BytesIO()
    fastavro.schemaless_writer(body, theirs, value)
    body.seek(0)
    fastavro.schemaless_reader(body, theirs, ours)
    assert body.read() == b""


@pytest.mark.parametrize("name", NAMES)
def test_every_record_goes_together_with_itself(name: str) -> None:
    now = parsed(catalogue.committed(name))
    assert breaks(now, [(1, parsed(catalogue.committed(name)))], "FULL_TRANSITIVE") == []


# ── levels ───────────────────────────────────────────────────────────────────────────────

OLD = record(("x", "int"))
WIDER = record(("x", "int"), ("y", "int"))


def test_backward_is_that_the_new_schema_reads_what_was_written() -> None:
    assert places(WIDER, OLD, level="BACKWARD") == [(1, "BACKWARD", "y")]
    assert places(OLD, WIDER, level="BACKWARD") == []


def test_forward_is_that_the_old_schema_reads_what_is_written_now() -> None:
    assert places(WIDER, OLD, level="FORWARD") == []
    assert places(OLD, WIDER, level="FORWARD") == [(1, "FORWARD", "y")]


def test_full_is_both() -> None:
    assert places(WIDER, OLD, level="FULL") == [(1, "BACKWARD", "y")]
    assert places(OLD, WIDER, level="FULL") == [(1, "FORWARD", "y")]


def test_only_the_transitive_levels_look_at_all_versions() -> None:
    defaulted = record(("x", "int"), ("y", "int", 0))
    assert places(WIDER, OLD, defaulted, level="BACKWARD") == []
    assert places(WIDER, OLD, defaulted, level="BACKWARD_TRANSITIVE") == [(1, "BACKWARD", "y")]


def test_none_is_anything() -> None:
    assert places(record(("x", "string")), OLD, level="NONE") == []


@pytest.mark.parametrize("level", get_args(Level))
def test_the_first_version_goes_together_with_nothing(level: Level) -> None:
    assert places(OLD, level=level) == []


def test_every_topic_with_records_has_a_level() -> None:
    prefix = Topics().prefix
    topics = {record.topic for record in catalogue.records().values()}
    assert {topic: level_of(topic) for topic in topics if level_of(topic) is None} == {}
    assert level_of("pipeline.events") == level_of("outcomes") == "FULL_TRANSITIVE"
    assert level_of("execution.commands") == "BACKWARD_TRANSITIVE"
    assert level_of(f"{prefix}.dead") is None


# ── places ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old", "new", "field", "what"),
    [
        ("int", "string", "x", "the new schema reads string, version 1 writes int"),
        (
            {"type": "array", "items": record(("y", "int"), name="S")},
            {"type": "array", "items": record(("y", "int"), ("z", "int"), name="S")},
            "x[].z",
            "version 1 does not have it, the new schema has no default",
        ),
        (
            {"type": "map", "values": "int"},
            {"type": "map", "values": "boolean"},
            "x{}",
            "the new schema reads boolean, version 1 writes int",
        ),
        (
            ["null", record(("y", "int"), name="S")],
            ["null", record(("y", "boolean"), name="S")],
            "x.y",
            "the new schema reads boolean, version 1 writes int",
        ),
        (
            ["null", "string"],
            "string",
            "x",
            "the new schema takes string, not null",
        ),
        (
            {"type": "enum", "name": "E", "symbols": ["A", "B"]},
            {"type": "enum", "name": "E", "symbols": ["A"]},
            "x",
            "the new schema has no default for B",
        ),
        (
            {"type": "fixed", "name": "F", "size": 2},
            {"type": "fixed", "name": "F", "size": 3},
            "x",
            "the new schema reads fixed(3) a.F, version 1 writes fixed(2) a.F",
        ),
        (
            record(("y", "int"), name="S"),
            record(("y", "int"), name="T"),
            "x",
            "the new schema reads record a.T, version 1 writes record a.S",
        ),
    ],
)
def test_a_break_is_named_with_its_place(old: Any, new: Any, field: str, what: str) -> None:
    versions = [(1, parsed(json.dumps(record(("x", old)))))]
    (found,) = breaks(parsed(json.dumps(record(("x", new)))), versions, "BACKWARD")
    assert (found.field, found.what) == (field, what)
    assert str(found).startswith(f"BACKWARD version 1, {field}: {what}; ")


def test_every_break_is_named() -> None:
    new = record(("x", "boolean"), ("y", ["int", "string"]), ("z", "int"))
    old = record(("x", "int"), ("y", ["null", "int", "bytes"]), ("w", "int"))
    assert places(new, old) == [
        (1, "BACKWARD", "x"),
        (1, "BACKWARD", "y"),
        (1, "BACKWARD", "y"),
        (1, "BACKWARD", "z"),
        (1, "FORWARD", "x"),
        (1, "FORWARD", "w"),
    ]


def test_a_record_that_contains_itself_is_compared() -> None:
    def node(kind: str) -> Any:
        return record(("next", ["null", "a.R"]), ("x", kind))

    assert places(node("int"), node("int")) == []
    assert places(node("int"), node("boolean"), level="BACKWARD") == [(1, "BACKWARD", "x")]


# ── what Avro lets pass ──────────────────────────────────────────────────────────────────


def test_bytes_are_not_read_as_text() -> None:
    assert places(record(("x", "string")), record(("x", "bytes"))) == [(1, "BACKWARD", "x")]


def test_a_reader_takes_the_first_branch_that_could_do() -> None:
    assert places(record(("x", ["string", "bytes"])), record(("x", "bytes")), level="BACKWARD")
    assert not places(record(("x", ["bytes", "string"])), record(("x", "bytes")), level="BACKWARD")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("long", {"type": "long", "logicalType": "timestamp-micros"}),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            {"type": "long", "logicalType": "timestamp-micros"},
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3},
        ),
    ],
)
def test_another_meaning_of_the_same_bytes_is_a_break(old: Any, new: Any) -> None:
    found = places(record(("x", new)), record(("x", old)))
    assert found == [(1, "BACKWARD", "x"), (1, "FORWARD", "x")]


def test_a_field_found_by_name_and_by_alias_is_a_break() -> None:
    new = record(("x", "int"), ("y", "int", 0))
    new["fields"][1]["aliases"] = ["x"]
    assert places(new, record(("x", "int")), level="BACKWARD") == [(1, "BACKWARD", "")]


# ── schemas of others ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "7",
        '"nothing"',
        '{"type": "record"}',
        '{"type": "record", "name": 5}',
        "[" * 60_000,
    ],
)
def test_what_is_no_avro_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="no Avro"):
        parsed(text)


def test_a_schema_over_the_limit_is_not_looked_at() -> None:
    with pytest.raises(ValueError, match=str(MAX_BYTES)):
        parsed('"int"' + " " * MAX_BYTES)


@pytest.mark.parametrize("aliases", [5, [["x"]], [{}]])
def test_schemas_that_cannot_be_compared_are_a_value_error(aliases: Any) -> None:
    new = record(("y", "int"))
    new["fields"][0]["aliases"] = aliases
    with pytest.raises(ValueError, match="cannot be compared"):
        places(new, record(("x", "int")))


def test_a_deep_schema_ends_nothing() -> None:
    text = '{"type": "array", "items": ' * 250 + '"int"' + "}" * 250
    assert breaks(parsed(text), [(1, parsed(text))], "FULL") == []
