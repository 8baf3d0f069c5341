"""How the stream index stands in LMDB: keys and values as bytes.

events     len(name) ‖ name ‖ version   → crc ‖ [offset, time, value, shape, header values…]
answers    digest of the identity       → [time, version] | [time, hash, status, versions, …]
expiry     hour ‖ transaction           → digests of what was answered in that hour
active     len(id) ‖ id                 → the execution's id
snapshots  len(name) ‖ name             → crc ‖ [version, offset, value, id and hashes], or distrust
state      context                      → [position, resume]
shapes     number                       → header names, as many events have the same ones

A name is `context/aggregate id`; numbers in keys are big endian, so that order is theirs.
"""

import struct
import zlib
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, cast

import msgpack

from streams.answers import Answer
from streams.lmdb_shapes import PLAIN
from streams.records import EventRecord, Identity
from streams.snapshots import Snapshot
from streams.stream_index import Damaged

FORMAT = 2
"""Raise it when anything here changes: an index of another format is built anew."""

DIGEST_BYTES = 16
VERSION_BYTES = 6
LAST = b"\xff" * VERSION_BYTES
_CRC_BYTES = 4
_LONGEST_NAME = 400
"""LMDB's keys have at most 511 bytes; a longer name, which no door lets in, ends in its digest."""
LONGEST_ID = 256
"""No door lets in a longer one, and the name of one that is much longer cannot be read back."""
NAME_HEAD = struct.Struct(">H")


def pack(value: Any) -> bytes:
    return cast(bytes, msgpack.packb(value))


def named(name: str) -> bytes:
    """A name as the beginning of a key; no name's keys stand between those of another."""
    found = name.encode()
    if len(found) > _LONGEST_NAME:
        digest = blake2b(found, digest_size=DIGEST_BYTES).digest()
        found = found[: _LONGEST_NAME - DIGEST_BYTES] + digest
    return NAME_HEAD.pack(len(found)) + found


def name_in(key: bytes) -> bytes:
    """The name that a key begins with."""
    (length,) = NAME_HEAD.unpack_from(key)
    return key[NAME_HEAD.size : NAME_HEAD.size + length]


def stream_prefix(context: str, aggregate_id: str) -> bytes:
    return named(f"{context}/{aggregate_id}")


def event_place(prefix: bytes, version: int) -> bytes:
    return prefix + version.to_bytes(VERSION_BYTES)


def identity_digest(identity: Identity) -> bytes:
    text = "\0".join(identity)
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


# ── events ───────────────────────────────────────────────────────────────────────────────


def pack_event(event: EventRecord, shape: int) -> bytes:
    headers = event.headers
    body: list[Any] = [event.offset, event.timestamp_ms, event.value, shape]
    if shape == PLAIN:
        body.append(dict(headers))
    else:
        body.extend(headers.values())
    return _checked(pack(body))


def unpack_event(
    context: str,
    aggregate_id: str,
    version: int,
    partition: int,
    data: bytes,
    shapes: Mapping[int, tuple[str, ...]],
) -> EventRecord:
    """Raises Damaged."""
    body = _unpacked(data, f"event {version} of {context}/{aggregate_id}")
    shape = body[3]
    headers = body[4] if shape == PLAIN else dict(zip(shapes[shape], body[4:], strict=True))
    return EventRecord(
        context, aggregate_id, version, partition, body[0], body[1], body[2], headers
    )


def _checked(packed: bytes) -> bytes:
    return zlib.crc32(packed).to_bytes(_CRC_BYTES) + packed


def _unpacked(data: bytes, what: str) -> Any:
    packed = data[_CRC_BYTES:]
    if zlib.crc32(packed) != int.from_bytes(data[:_CRC_BYTES]):
        raise Damaged(f"{what} does not fit its checksum")
    return msgpack.unpackb(packed)


# ── snapshots ────────────────────────────────────────────────────────────────────────────

DISTRUST = Snapshot("", "", 0, 0, 0, None, "", "", "")
"""Stands where no snapshot of an aggregate is kept any more; a deleted one leaves nothing."""


def pack_snapshot(snapshot: Snapshot) -> bytes:
    if snapshot is DISTRUST:
        return b""
    of_event = snapshot.event_id, snapshot.event_hash
    told = snapshot.version, snapshot.offset, snapshot.value, *of_event, snapshot.state_hash
    return _checked(pack(told))


def unpack_snapshot(context: str, aggregate_id: str, partition: int, data: bytes) -> Snapshot:
    """Raises Damaged."""
    if not data:
        return DISTRUST
    version, *rest = _unpacked(data, f"the snapshot of {context}/{aggregate_id}")
    return Snapshot(context, aggregate_id, version, partition, *rest)


# ── answers ──────────────────────────────────────────────────────────────────────────────


def pack_answer(at_ms: int, answer: Answer | int) -> bytes:
    """An answer in full, or the version of the event that it is made of."""
    if isinstance(answer, int):
        return pack((at_ms, answer))
    told = answer.hash, answer.status, answer.versions, answer.position
    return pack((at_ms, *told, answer.error_code, answer.error_message))


def unpack_answer(identity: Identity, data: bytes) -> tuple[int, Answer | int]:
    """(broker time in ms, answer or version). Raises Damaged."""
    try:
        at_ms, first, *rest = msgpack.unpackb(data)
        if not rest:
            return at_ms, first
        status, versions, position, code, message = rest
        return at_ms, Answer(identity, first, status, tuple(versions), position, code, message)
    except (ValueError, TypeError) as error:
        raise Damaged(f"the answer to {identity} cannot be read: {error}") from error
