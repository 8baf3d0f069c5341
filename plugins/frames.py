"""Messages between host and child: `length (4 bytes, big endian) · msgpack map`.

The length is judged before a byte of the body is read, the depth by msgpack itself.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import cast

import msgpack

MAX_FRAME_BYTES = 8 * 1024 * 1024
"""Room for a rendered configuration with several values of 32 KiB and a benchmark's 1 MB call."""

_LENGTH = struct.Struct(">I")

Message = dict[str, object]


class FrameError(Exception):
    """What came over the socket is no frame; whoever sent it cannot be talked to any more."""


def frame_of(message: Mapping[str, object]) -> bytes:
    """A message as one frame; raises `FrameError` for what msgpack cannot hold or what is too large."""
    try:
        body = cast(bytes, msgpack.packb(message, use_bin_type=True))
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(f"not a message: {error}") from error
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a message of {len(body)} bytes; at most {MAX_FRAME_BYTES} are allowed")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into messages, in whatever pieces it arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def has_partial(self) -> bool:
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes, yield each message completed by them; raises `FrameError`."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME_BYTES:
                raise FrameError(
                    f"a frame of {length} bytes; at most {MAX_FRAME_BYTES} are allowed"
                )
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield _message_of(body)


def _message_of(body: bytes) -> Message:
    try:
        message = msgpack.unpackb(body, raw=False, strict_map_key=True)
    except Exception as error:  # msgpack raises ValueError, its own errors and UnicodeDecodeError
        raise FrameError(f"{len(body)} bytes that are no msgpack: {error}") from error
    if not isinstance(message, dict):
        raise FrameError(f"a {type(message).__name__} where a map is required")
    return message
