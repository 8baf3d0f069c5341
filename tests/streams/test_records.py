"""What stands in headers and keys: versions, identities, hashes."""

import uuid
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from streams.records import (
    ANY,
    ExpectedVersion,
    Identity,
    command_hash,
    event_id,
    event_record,
    header_map,
    parse_expected_version,
    text,
    time_text,
)

COMMAND = uuid.UUID("01890a5d-ac96-774b-bcce-b302099a8057")
RECORD = "flexcore.pipeline.ActivatePipeline"
BODY = b"\0\0\0\0\3\x04p1\x00"


# ── headers ──────────────────────────────────────────────────────────────────────────────


def test_of_repeated_headers_the_first_counts() -> None:
    """Whoever appends a header behind a signed one must not be believed."""
    assert header_map([("ce_id", b"1"), ("ce_id", b"2")]) == {"ce_id": b"1"}


def test_headers_of_any_client_are_bytes() -> None:
    assert header_map([("a", None), ("b", "text"), ("c", b"\xff")]) == {
        "a": b"",
        "b": b"text",
        "c": b"\xff",
    }
    assert header_map(None) == {}


def test_a_header_that_is_no_utf8_counts_as_absent() -> None:
    assert text({"ce_id": b"\xff"}, "ce_id", "none") == "none"
    assert text({}, "ce_id") == ""
    assert text({"ce_id": "é".encode()}, "ce_id") == "é"


def test_times_are_utc_however_they_came() -> None:
    summer = datetime(2026, 7, 1, 14, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=2)))
    assert time_text(summer) == "2026-07-01T12:00:00.250000Z"
    assert time_text(datetime(2026, 7, 1, tzinfo=UTC)) == "2026-07-01T00:00:00Z"


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    """Python calls the two equal."""
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert time_text(first) == "2026-10-25T00:30:00Z"
    assert time_text(first.replace(fold=1)) == "2026-10-25T01:30:00Z"


# ── expected versions ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expected", "versions"),
    [
        ("any", {0, 1, 2}),
        ("", {0, 1, 2}),
        ("none", {0}),
        ("exists", {1, 2}),
        ("0", {0}),
        ("1", {1}),
        ("2", {2}),
    ],
)
def test_an_expected_version_accepts_what_it_says(expected: str, versions: set[int]) -> None:
    mode = parse_expected_version(expected)
    assert {version for version in (0, 1, 2) if mode.accepts(version)} == versions


@pytest.mark.parametrize("value", ["none", "exists", "any", "0", "7", "123456789012345678"])
def test_an_expected_version_is_written_as_it_is_read(value: str) -> None:
    assert str(parse_expected_version(value)) == value


@pytest.mark.parametrize("value", ["-1", "1.0", "one", "ANY", " 1", "٣", "1" * 19, "exact", "+1"])
def test_what_is_no_expected_version_is_invalid(value: str) -> None:
    with pytest.raises(Invalid, match="a number, none, exists or any") as refused:
        parse_expected_version(value)
    assert refused.value.code == "command.invalid_expected_version"


# ── identity ─────────────────────────────────────────────────────────────────────────────


def test_the_hash_is_the_contracts() -> None:
    """Foreign checkers compute it too: record name, body without schema id, expected version."""
    assert command_hash(RECORD, BODY, ANY) == (
        "6b430dd9682fc76cae237b6aff2528b1e63ec36e1ac8ced1ba3d915d6f0c62e3"
    )


def test_the_hash_does_not_depend_on_the_schema_id() -> None:
    """Two registries give two ids to one content."""
    other = BODY[:1] + b"\0\0\0\7" + BODY[5:]
    assert command_hash(RECORD, BODY, ANY) == command_hash(RECORD, other, ANY)


@given(
    st.tuples(st.sampled_from(["a", "ab"]), st.binary(max_size=4), st.sampled_from(["any", "1"])),
    st.tuples(st.sampled_from(["a", "ab"]), st.binary(max_size=4), st.sampled_from(["any", "1"])),
)
def test_other_content_has_another_hash(
    one: tuple[str, bytes, str], other: tuple[str, bytes, str]
) -> None:
    def hashed(content: tuple[str, bytes, str]) -> str:
        name, body, expected = content
        return command_hash(name, BODY[:5] + body, parse_expected_version(expected))

    assert (hashed(one) == hashed(other)) == (one == other)


def test_an_absent_expected_version_is_any() -> None:
    assert command_hash(RECORD, BODY, parse_expected_version("")) == (
        command_hash(RECORD, BODY, ExpectedVersion("any"))
    )


def test_an_events_id_follows_from_its_command_and_place() -> None:
    """So that an event that is written again replaces its own copy only."""
    first = event_id(COMMAND, "pipeline", "p1", 1)
    assert first == str(uuid.uuid5(COMMAND, "pipeline/p1#1"))
    others = {
        event_id(COMMAND, "pipeline", "p1", 2),
        event_id(COMMAND, "pipeline", "p2", 1),
        event_id(COMMAND, "execution", "p1", 1),
        event_id(uuid.uuid4(), "pipeline", "p1", 1),
    }
    assert len(others | {first}) == 5


@given(st.uuids(), st.text(max_size=20), st.integers(1, 10**12))
def test_an_events_id_is_the_standard_librarys(
    command_id: uuid.UUID, aggregate_id: str, version: int
) -> None:
    made = event_id(command_id, "pipeline", aggregate_id, version)
    assert made == str(uuid.uuid5(command_id, f"pipeline/{aggregate_id}#{version}"))
    assert made == event_id(str(command_id), "pipeline", aggregate_id, version)


# ── events as read ───────────────────────────────────────────────────────────────────────

HEADERS = [("ce_id", b"e1"), ("ce_commandid", b"c1"), ("ce_type", b"flexcore.pipeline.X")]


def test_an_event_record_knows_its_place_and_its_command() -> None:
    record = event_record("pipeline", 3, 40, 1_000, b"acme~p1#000000000007", b"value", HEADERS)
    assert (record.aggregate_id, record.version) == ("acme~p1", 7)
    assert (record.partition, record.offset, record.timestamp_ms) == (3, 40, 1_000)
    assert (record.event_id, record.type) == ("e1", "flexcore.pipeline.X")
    assert record.identity == Identity("pipeline", "acme~p1", "c1")


def test_a_pruned_event_keeps_its_place() -> None:
    record = event_record("pipeline", 0, 1, 1, b"p1#000000000001", None, None)
    assert (record.value, record.version, record.command_id) == (None, 1, "")


@pytest.mark.parametrize("key", [b"", b"p1", b"\xff#000000000001"])
def test_a_foreign_key_on_an_event_topic_is_a_value_error(key: bytes) -> None:
    with pytest.raises(ValueError):
        event_record("pipeline", 0, 0, 0, key, b"", [])
