"""What the records of the schemas topic amount to, without a broker."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.embedded_registry import SchemaLog
from streams.registry import Registered, canonical

LONG = '{"type": "long"}'
TEXT = '{"type": "string"}'


def log_of(*registered: Registered) -> SchemaLog:
    log = SchemaLog()
    for one in registered:
        log.add(one)
    return log


def grown(*rounds: dict[str, str]) -> SchemaLog:
    """A log after each round of registrations was written, as a single writer does."""
    log = SchemaLog()
    for schemas in rounds:
        for one in log.missing(schemas):
            log.add(one)
    return log


def test_ids_count_from_one_and_versions_per_subject() -> None:
    log = grown({"a": LONG, "b": TEXT}, {"a": TEXT})
    assert log.version("a", 1) == Registered("a", 1, 1, LONG)
    assert log.version("b", "latest") == Registered("b", 1, 2, TEXT)
    assert log.version("a", "latest") == Registered("a", 2, 2, TEXT)
    assert log.versions("a") == [1, 2]
    assert log.subjects() == ["a", "b"]


def test_the_same_schema_has_one_id_in_every_subject() -> None:
    log = grown({"a": LONG, "b": LONG})
    assert [place.subject for place in log.places(1)] == ["a", "b"]
    assert log.schema(1) == LONG


def test_spaces_and_the_order_of_attributes_make_no_new_version() -> None:
    log = grown({"a": '{"type": "record", "name": "R", "fields": []}'})
    assert log.missing({"a": '{"fields":[],"name":"R",\n"type":"record"}'}) == []


def test_another_default_is_another_schema() -> None:
    field = '{"type": "record", "name": "R", "fields": [{"name": "x", "type": "int"%s}]}'
    log = grown({"a": field % ""}, {"a": field % ', "default": 0'})
    assert log.versions("a") == [1, 2]


def test_an_older_release_that_registers_again_adds_nothing() -> None:
    old, new = {"a": LONG}, {"a": TEXT}
    assert grown(old, new).missing(old) == []


def test_what_is_not_there_is_none() -> None:
    log = grown({"a": LONG})
    assert log.schema(2) is None
    assert log.places(2) == []
    assert log.versions("b") == []
    assert log.version("b", "latest") is None
    assert log.version("a", 2) is None
    assert log.find("b", LONG) is None


def test_of_equal_copies_the_first_counts() -> None:
    log = log_of(Registered("a", 1, 1, LONG), Registered("a", 1, 2, TEXT))
    assert log.version("a", 1) == Registered("a", 1, 1, LONG)


@pytest.mark.parametrize("schema", ["", "{", "[" * 100_000])
def test_a_schema_that_is_no_json_is_a_value_error(schema: str) -> None:
    with pytest.raises(ValueError):
        canonical(schema)


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), st.sampled_from(["int", "long", "string"])),
        max_size=8,
    )
)
def test_ids_and_versions_never_change_once_given(rounds: list[dict[str, str]]) -> None:
    log = SchemaLog()
    given_out: dict[tuple[str, int], Registered] = {}
    for schemas in rounds:
        texts = {subject: json.dumps(schema) for subject, schema in schemas.items()}
        for one in log.missing(texts):
            log.add(one)
            given_out[one.subject, one.version] = one
        assert log.missing(texts) == []
        assert all(log.version(*place) == one for place, one in given_out.items())
    for subject in log.subjects():
        versions = log.versions(subject)
        assert list(versions) == list(range(1, len(versions) + 1))
    ids = {one.schema: one.id for one in given_out.values()}
    assert sorted(ids.values()) == list(range(1, len(ids) + 1))
