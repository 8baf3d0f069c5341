"""Frames survive being cut anywhere; what is no frame is named as such."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.frames import MAX_FRAME_BYTES, FrameError, FrameReader, frame_of

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=5,
)


@given(
    messages=st.lists(st.dictionaries(st.text(), VALUES, max_size=2), max_size=3),
    piece=st.integers(1, 50),
)
def test_messages_arrive_whole_in_whatever_pieces(
    messages: list[dict[str, object]], piece: int
) -> None:
    stream = b"".join(map(frame_of, messages))
    reader = FrameReader()
    pieces = [stream[start : start + piece] for start in range(0, len(stream), piece)]
    assert [message for data in pieces for message in reader.feed(data)] == messages
    assert not reader.has_partial


@given(data=st.binary(max_size=200))
def test_any_bytes_are_messages_an_error_or_not_complete_yet(data: bytes) -> None:
    reader = FrameReader()
    with suppress(FrameError):
        assert all(isinstance(message, dict) for message in reader.feed(data))


def test_a_length_over_the_limit_is_refused_before_the_body_arrives() -> None:
    with pytest.raises(FrameError, match="at most"):
        list(FrameReader().feed(struct.pack(">I", MAX_FRAME_BYTES + 1)))


def test_a_body_nested_without_end_is_refused() -> None:
    body = b"\x91" * 100_000 + b"\xc0"
    with pytest.raises(FrameError):
        list(FrameReader().feed(struct.pack(">I", len(body)) + body))


def test_a_body_that_is_no_map_is_refused() -> None:
    with pytest.raises(FrameError, match="a map is required"):
        list(FrameReader().feed(struct.pack(">I", 1) + b"\x01"))


def test_a_message_too_large_is_not_made() -> None:
    with pytest.raises(FrameError, match="at most"):
        frame_of({"x": bytes(MAX_FRAME_BYTES)})


def test_a_message_that_msgpack_cannot_hold_is_not_made() -> None:
    with pytest.raises(FrameError):
        frame_of({"x": 2**70})
