"""Avro's small pieces, as the functions of `schemas/compiled.py` use them.

n ──► zigzag 0 -1 1 -2 … = 0 1 2 3 … ──► seven bits a byte, the lowest first, 0x80 = more follows
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NoReturn

Read = Callable[[bytes, int], tuple[Any, int]]
Write = Callable[[Any], bytes]

NULL, SOME = b"\0", b"\2"
"""The branches of [null, T]."""
FALSE, TRUE = b"\0", b"\1"

KEPT = 1_024
KEPT_BYTES = 4 * 1024
"""Together 4 MiB of bytes at most for each direction, and about four times that in values."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DOUBLE = struct.Struct("<d")

join = b"".join
pack = _DOUBLE.pack
unpack = _DOUBLE.unpack_from


# ── whole numbers ────────────────────────────────────────────────────────────────────────


def _zigzag(number: int) -> bytes:
    if not -(2**63) <= number < 2**63:
        raise OverflowError(f"{number} needs more than 64 bits")
    left = (number << 1) ^ (number >> 63)
    found = bytearray()
    while left > 127:
        found.append(left & 127 | 128)
        left >>= 7
    found.append(left)
    return bytes(found)


class _Zigzag(dict[int, bytes]):
    """Lengths, versions and counters are small: their bytes are at hand, others are made."""

    def __missing__(self, number: int) -> bytes:
        return _zigzag(number)


class _Int(dict[int, bytes]):
    """The same for numbers of 32 bits."""

    def __missing__(self, number: int) -> bytes:
        if not -(2**31) <= number < 2**31:
            raise OverflowError(f"{number} needs more than 32 bits")
        return _zigzag(number)


_SMALL = {number: _zigzag(number) for number in range(-64, 1_024)}
ZIGZAG, INT = _Zigzag(_SMALL), _Int(_SMALL)


def not_whole(value: object) -> NoReturn:
    # Tables would take 1.0 and True for 1.
    raise TypeError(f"{value!r} is no whole number")


def int_bytes(value: int) -> bytes:
    return INT[value] if type(value) is int else not_whole(value)


def long_bytes(value: int) -> bytes:
    return ZIGZAG[value] if type(value) is int else not_whole(value)


def long(data: bytes, at: int) -> tuple[int, int]:
    """(number, offset behind it). Raises ValueError for one over 64 bits, IndexError at the end."""
    found = shift = 0
    while (byte := data[at]) > 127:
        found |= (byte & 127) << shift
        shift += 7
        at += 1
        if shift > 63:
            raise ValueError("a number of more than ten bytes")
    found |= byte << shift
    if found >> 64:
        raise ValueError("a number of more than 64 bits")
    return (found >> 1) ^ -(found & 1), at + 1


def read_int(data: bytes, at: int) -> tuple[int, int]:
    """The same for 32 bits."""
    found, at = long(data, at)
    if not -(2**31) <= found < 2**31:
        raise ValueError("a number of more than 32 bits")
    return found, at


def size(data: bytes, at: int) -> tuple[int, int]:
    """A length, which is not negative. Raises ValueError, IndexError."""
    found, at = long(data, at)
    if found < 0:
        raise ValueError(f"a length of {found}")
    return found, at


# ── numbers and truths that are written as they are ──────────────────────────────────────


def pack_whole(value: object) -> bytes:
    """A whole number as a double. Raises TypeError for what is no number."""
    if type(value) is not int:
        raise TypeError(f"{value!r} is no number")
    return pack(value)


def no_bool(value: object) -> NoReturn:
    raise TypeError(f"{value!r} is neither true nor false")


# ── texts, times, items ──────────────────────────────────────────────────────────────────


def text(value: str) -> bytes:
    found = value.encode()
    return ZIGZAG[len(found)] + found


def read_text(data: bytes, at: int) -> tuple[str, int]:
    length, at = size(data, at)
    return data[at : at + length].decode(), at + length


def micros(moment: datetime) -> bytes:
    """timestamp-micros of a time that knows its zone; TypeError for another."""
    # Two times of one zone are equal although an hour of summer time lies between them: only in
    # UTC equal times are the same moment for certain.
    return _utc_micros(moment) if moment.tzinfo is UTC else _zigzag(_since_epoch(moment))


@lru_cache(maxsize=64)
def _utc_micros(moment: datetime) -> bytes:
    """All events of a turn have one time."""
    return _zigzag(_since_epoch(moment))


def _since_epoch(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def read_moment(data: bytes, at: int) -> tuple[datetime, int]:
    found, at = long(data, at)
    return _EPOCH + timedelta(microseconds=found), at


def items(values: object, encode: Callable[[Any], bytes]) -> bytes:
    """An array in one block. Raises TypeError for a text, which has items too."""
    if not isinstance(values, tuple | list):
        raise TypeError(f"{type(values).__name__} is no list")
    if not len(values):
        return b"\0"
    return join((ZIGZAG[len(values)], *map(encode, values), b"\0"))


def read_items(data: bytes, at: int, read: Read) -> tuple[tuple[Any, ...], int]:
    """An array in any number of blocks. Raises ValueError for more items than there are bytes."""
    found: list[Any] = []
    while True:
        count, at = long(data, at)
        if count == 0:
            return tuple(found), at
        if count < 0:
            count = -count
            _, at = long(data, at)  # the block's length, for who passes it over
        # Every item has a byte at least.
        if count > len(data) - at:
            raise ValueError(f"{count} items in {len(data) - at} bytes")
        for _ in range(count):
            item, at = read(data, at)
            found.append(item)


def entries(values: Mapping[str, Any], encode: Write) -> bytes:
    """A map in one block, in its own order."""
    return items([text(key) + encode(value) for key, value in values.items()], bytes)


def read_entries(data: bytes, at: int, read: Read) -> tuple[dict[str, Any], int]:
    """A map in any number of blocks; of a key that comes twice the last value stays."""

    def read_entry(data: bytes, at: int) -> tuple[tuple[str, Any], int]:
        key, at = read_text(data, at)
        value, at = read(data, at)
        return (key, value), at

    found, at = read_items(data, at, read_entry)
    return dict(found), at


def no_branch(number: int) -> NoReturn:
    raise ValueError(f"branch byte {number}, which none of the types has")


def union(writers: Mapping[type, Write]) -> Write:
    """Writes a value of any of these types behind the number of its type."""
    branches = {cls: (ZIGZAG[n], write) for n, (cls, write) in enumerate(writers.items())}

    def write_branch(value: Any) -> bytes:
        head, write = branches[type(value)]
        return head + write(value)

    return write_branch


def read_union(readers: Sequence[Read]) -> Read:
    """Reads what `union` writes. The reader raises ValueError for a number of no type."""

    def read_branch(data: bytes, at: int) -> tuple[Any, int]:
        number = data[at]
        if number & 129 or number >> 1 >= len(readers):
            no_branch(number)
        return readers[number >> 1](data, at + 1)

    return read_branch


def kept_bytes(write: Write) -> Write:
    """`write`, which remembers what it made of an object: each run writes its pipeline's definition.

    Of the object, not of its value: 0.0 and -0.0 are equal.
    """
    known: dict[int, tuple[Any, bytes]] = {}

    def write_or_find(value: Any) -> bytes:
        found, written = known.get(id(value), (None, b""))
        if found is value:
            return written
        written = write(value)
        if len(written) <= KEPT_BYTES:
            if len(known) >= KEPT:
                known.pop(next(iter(known)), None)
            known[id(value)] = value, written
        return written

    return write_or_find


def kept(read: Read) -> Read:
    """`read`, which makes the same bytes one value: runs of a pipeline share its definition.

    The key is all that is left, so it pays at the end of a record.
    """
    known = lru_cache(maxsize=KEPT)(lambda rest: read(rest, 0))

    def read_or_find(data: bytes, at: int) -> tuple[Any, int]:
        rest = data[at:]
        value, used = known(rest) if len(rest) <= KEPT_BYTES else read(rest, 0)
        return value, at + used

    return read_or_find
