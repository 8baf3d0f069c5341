"""Texts in headers and options: positions, expected versions, waits, ids; a value or `Invalid`."""

from collections.abc import Callable, Iterable
from typing import Any

from domain.errors import Invalid
from gateway.rest.headers import (
    MAX_WAIT_S,
    expected_version,
    traceparent_of,
    unquoted,
    wait_of,
)
from gateway.rest.streams import version_of
from gateway.services.asked import Caller, command_id_of
from streams.positions import parse_position, position_text
from streams.records import parse_expected_version
from streams.topics import parse_event_key
from tests.fuzz.bounded import bounded


def check(data: bytes) -> None:
    with bounded():
        text = data.decode("latin-1") if data[:1] > b"\x7f" else data.decode(errors="replace")
        position = _or_invalid(parse_position, text)
        if position is not None:
            assert parse_position(position_text(position)) == position
        version = _or_invalid(parse_expected_version, text)
        if version is not None:
            assert parse_expected_version(str(version)) == version
        _or_invalid(lambda one: expected_version(one, None), text)
        _or_invalid(lambda one: expected_version(None, one), text)
        number = _or_invalid(version_of, text)
        assert number is None or 0 <= number < 10**18
        waited = wait_of(text)
        assert waited is None or 0 <= waited <= MAX_WAIT_S
        traceparent_of(text)
        command_id = _or_invalid(lambda one: command_id_of(unquoted(one), Caller()), text)
        assert command_id is None or len(command_id) == 36
        try:
            aggregate_id, at = parse_event_key(data)
        except ValueError:
            return
        assert f"{aggregate_id}#{at:012d}".encode() == data


def _or_invalid(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except Invalid as error:
        assert len(error.message) < 1_000, "an error quotes only so much"
        return None


def seeds() -> Iterable[bytes]:
    yield from (b"execution/3@12345,pipeline/0@7", b"none", b'"7"', b"wait=5, x", b"0" * 18)
    yield from (b"p#000000000001", b"01890a5d-ac96-774b-bcce-b302099a8057", b'W/"1"', b"*")
