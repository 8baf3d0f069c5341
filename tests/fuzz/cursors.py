"""Cursors of lists and of all events, as they come back from clients: a place or `Invalid`."""

import base64
from collections.abc import Iterable
from datetime import UTC, datetime

from domain.errors import Invalid
from gateway.rest import streams
from projections import page
from tests.fuzz.bounded import bounded


def check(data: bytes) -> None:
    """The bytes as they are, and as what a client's base64 would stand for."""
    with bounded():
        for text in (data.decode("latin-1"), base64.urlsafe_b64encode(data).decode().rstrip("=")):
            _list(text)
            _all_events(text)


def _list(text: str) -> None:
    try:
        moment, last_id = page._parse_cursor(text)
    except Invalid as error:
        assert error.code == "query.invalid"
        return
    assert moment.tzinfo is not None
    assert "\0" not in last_id
    last_id.encode()
    assert page._parse_cursor(page._cursor(moment, last_id)) == (moment, last_id)


def _all_events(text: str) -> None:
    try:
        position = streams._places(text)
    except Invalid as error:
        assert error.code == "query.invalid"
        return
    assert streams._places(streams._cursor(position)) == position


def seeds() -> Iterable[bytes]:
    given = page._cursor(datetime(2026, 11, 1, tzinfo=UTC), "p1").encode()
    yield given
    yield base64.urlsafe_b64decode(given + b"=" * (-len(given) % 4))
    yield b'["0001-01-01T00:00:00+23:59", "p"]'
    yield b"execution/3@12345,pipeline/0@7"
