"""The few bytes of a Kafka request that the proxy understands.

size │ api key, version, correlation id, client id │ transactional id first, in every request of a
transaction │ … │ EndTxn ends with producer id, epoch and whether to commit
"""

import struct
from dataclasses import dataclass, replace
from enum import IntEnum


class Api(IntEnum):
    """Requests by their keys in the protocol."""

    PRODUCE = 0
    FETCH = 1
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    SYNC_GROUP = 14
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


_FLEXIBLE_FROM = {
    Api.PRODUCE: 9,
    Api.INIT_PRODUCER_ID: 2,
    Api.ADD_PARTITIONS_TO_TXN: 3,
    Api.ADD_OFFSETS_TO_TXN: 3,
    Api.END_TXN: 3,
    Api.TXN_OFFSET_COMMIT: 3,
}
"""Versions from which strings are compact and tagged fields follow; also the transactional ones."""
_HEADER = struct.Struct(">hhih")
_END_TXN_TAIL = struct.Struct(">qhb")


@dataclass(frozen=True, slots=True)
class Request:
    """`frame` is the request without its size; `transactional_id` is empty where there is none."""

    api: int
    version: int
    correlation: int
    client: str
    transactional_id: str
    frame: bytes

    @property
    def commits(self) -> bool | None:
        """Whether an EndTxn commits; `None` for other requests."""
        return None if self.api != Api.END_TXN else bool(self.frame[self._flag])

    def deciding(self, commit: bool) -> "Request":
        """The same EndTxn with another decision."""
        frame = bytearray(self.frame)
        frame[self._flag] = commit
        return replace(self, frame=bytes(frame))

    @property
    def _flag(self) -> int:
        flexible = self.version >= _FLEXIBLE_FROM[Api.END_TXN]
        return len(self.frame) - (2 if flexible else 1)


def parse(frame: bytes) -> Request:
    """A request as it came. Raises struct.error for what is none."""
    api, version, correlation, length = _HEADER.unpack_from(frame)
    at = _HEADER.size + max(0, length)
    client = frame[_HEADER.size : at].decode("utf-8", "replace")
    transactional_id = ""
    if api in _FLEXIBLE_FROM:
        # The tagged fields of the header: none of these clients sends any.
        compact = version >= _FLEXIBLE_FROM[Api(api)]
        transactional_id = _string(frame, at + compact, compact=compact)
    return Request(api, version, correlation, client, transactional_id, frame)


def _string(frame: bytes, at: int, *, compact: bool) -> str:
    if compact:
        length, at = frame[at] - 1, at + 1
    else:
        (length,) = struct.unpack_from(">h", frame, at)
        at += 2
    return frame[at : at + max(0, length)].decode("utf-8", "replace")


def end_txn_error(request: Request, answer: bytes) -> int:
    """The error code in the answer to an EndTxn: 0 decided, 47 and 90 refused by epoch, 48 no transaction."""
    # correlation id, in flexible versions a tag byte, throttle time, error
    at = 8 + (request.version >= _FLEXIBLE_FROM[Api.END_TXN])
    return int(struct.unpack_from(">h", answer, at)[0])


def framed(frame: bytes) -> bytes:
    """With its size in front."""
    return struct.pack(">i", len(frame)) + frame
