"""One LMDB environment of the stream index: a partition's events, answers, positions.

    write(pending) ──► one transaction       map full → grows, again · disk full → IndexFull
    reads          ──► a view each           may meet a growing map → again

Reads go by cursor and key: those keep the GIL, while every `get` gives it away and a busy lane
would wait for it, 90 µs on average (measured with a second thread that computes). Only what is
found is fetched.
"""

import errno
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import lmdb
import msgpack

from streams.answers import Answer
from streams.lmdb_form import (
    DIGEST_BYTES,
    DISTRUST,
    LAST,
    LONGEST_ID,
    NAME_HEAD,
    event_place,
    identity_digest,
    name_in,
    named,
    pack,
    pack_answer,
    pack_event,
    pack_snapshot,
    stream_prefix,
    unpack_answer,
    unpack_event,
    unpack_snapshot,
)
from streams.lmdb_pending import Pending, Stream
from streams.lmdb_shapes import Shapes
from streams.records import EventRecord, Identity
from streams.snapshots import Snapshot
from streams.stream_index import HOUR_MS, Damaged

MAP_BYTES = 1 << 30
"""The first map; address space, not disk: the file is as large as what was written."""
MAX_MAP_BYTES = 1 << 42
MAX_READERS = 64
"""A read holds a slot for microseconds, and a worker has a dozen threads."""
EXPIRED_AT_ONCE = 2_000
"""About 10 ms, in which nothing else is written."""

_DISTRUSTED = "damaged"
# EIO is what LMDB makes of a write that the disk took only in part, as a full one does.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

T = TypeVar("T")
if TYPE_CHECKING:
    # Generic in its stubs alone.
    Txn = lmdb.Transaction[bytes]


class IndexFull(Exception):
    """Disk or map has no room; nothing of the transaction was written, try again later."""


class Environment:
    """Written by one thread at a time, read by any."""

    def __init__(
        self,
        folder: Path,
        partition: int,
        *,
        map_bytes: int = MAP_BYTES,
        max_map_bytes: int = MAX_MAP_BYTES,
    ) -> None:
        """Raises Damaged where the files are not what they were."""
        if (folder / _DISTRUSTED).exists():
            raise Damaged("it was found damaged before")
        self._folder = folder
        self._partition = partition
        self._max_map_bytes = max_map_bytes
        self._closed = False
        self._growing = False
        self._grown = 0
        try:
            self._open(map_bytes)
        except (lmdb.Error, ValueError) as error:
            raise Damaged(str(error)) from error

    def _open(self, map_bytes: int) -> None:
        new = not (self._folder / "data.mdb").exists()
        self._env = lmdb.Environment(
            str(self._folder),
            map_size=map_bytes,
            max_dbs=8,
            max_readers=MAX_READERS,
            readahead=False,
            # The files survive the process, not the machine: see `lmdb_mark`.
            sync=False,
            metasync=False,
        )
        file = self._folder / "data.mdb"
        size = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
        if size > file.stat().st_size:
            # Reading behind the end of a mapped file kills the process; a blank page is refused.
            # LMDB itself leaves out pages at the end that a transaction made and freed.
            os.truncate(file, size)
        names = (b"events", b"answers", b"expiry", b"active", b"state")
        dbs = (self._env.open_db(name, create=new) for name in names)
        self._events, self._answers, self._expiry, self._active, self._state = dbs
        self._shape_names = self._env.open_db(b"shapes", create=new)
        self._snapshots = self._env.open_db(b"snapshots", create=new)
        with self._env.begin() as txn:
            self._shapes = Shapes(
                {
                    int.from_bytes(key): tuple(msgpack.unpackb(value))
                    for key, value in txn.cursor(self._shape_names)
                }
            )

    def distrust(self, error: Exception) -> Damaged:
        """Have the files dropped by the next process; this one cannot go on with them."""
        (self._folder / _DISTRUSTED).touch()
        return Damaged(str(error))

    def close(self) -> None:
        """Bring everything to the disk and let go of the files."""
        self._closed = True
        self._env.sync(True)
        self._env.close()

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def positions(self) -> dict[str, tuple[int, int]]:
        """(position, resume) by context."""

        def read(txn: "Txn") -> dict[str, tuple[int, int]]:
            found = {}
            for key, value in txn.cursor(self._state):
                position, resume = msgpack.unpackb(value)
                found[key.decode()] = int(position), int(resume)
            return found

        return self._view(read)

    def last_version(self, stream: Stream) -> int:
        prefix = stream_prefix(*stream)

        def read(txn: "Txn") -> int:
            cursor = txn.cursor(self._events)
            behind = cursor.set_range(prefix + LAST)
            found = cursor.prev() if behind else cursor.last()
            key = cursor.key() if found else b""
            return int.from_bytes(key[len(prefix) :]) if key.startswith(prefix) else 0

        return self._view(read)

    def events(self, stream: Stream, first: int, count: int) -> list[EventRecord]:
        """`count` events from version `first` on, all of which are here. Raises Damaged."""
        prefix, shapes = stream_prefix(*stream), self._shapes.names
        end = event_place(prefix, first + count - 1)

        def read(txn: "Txn") -> list[EventRecord]:
            cursor = txn.cursor(self._events)
            here = cursor.set_key(event_place(prefix, first))
            # One descent into the tree for all of them: half the time of a `get` for each.
            found = list(islice(cursor.iternext(), count)) if here else []
            if len(found) < count or found[-1][0] != end:
                raise Damaged(f"{stream} lacks events of {first} to {first + count - 1}")
            return [
                unpack_event(*stream, version, self._partition, data, shapes)
                for version, (_, data) in enumerate(found, start=first)
            ]

        return self._view(read)

    def answer(self, identity: Identity) -> tuple[int, Answer | int] | None:
        """(broker time in ms, the answer or the version of the event it is made of)."""
        digest = identity_digest(identity)

        def read(txn: "Txn") -> tuple[int, Answer | int] | None:
            cursor = txn.cursor(self._answers)
            known = cursor.set_key(digest)
            return unpack_answer(identity, cursor.value()) if known else None

        return self._view(read)

    def snapshot(self, stream: Stream) -> Snapshot | None:
        """The last one, or DISTRUST."""
        prefix = stream_prefix(*stream)

        def read(txn: "Txn") -> Snapshot | None:
            cursor = txn.cursor(self._snapshots)
            known = cursor.set_key(prefix)
            return unpack_snapshot(*stream, self._partition, cursor.value()) if known else None

        return self._view(read)

    def active(self) -> list[str]:
        def read(txn: "Txn") -> list[str]:
            return [value.decode() for _, value in txn.cursor(self._active)]

        return self._view(read)

    def aggregates(self, context: str) -> list[str]:
        """The aggregates of a context that have events, but for ids longer than a door lets in."""

        start = f"{context}/".encode()

        def read(txn: "Txn") -> list[str]:
            cursor, found = txn.cursor(self._events), []
            # Names stand by their lengths, so those of a context are together in each of them.
            here = cursor.set_range(NAME_HEAD.pack(len(start)))
            while here:
                name = name_in(cursor.key())
                if name.startswith(start):
                    found.append(name[len(start) :])
                    # Behind the last of its versions; nothing of all between is looked at.
                    here = cursor.set_range(NAME_HEAD.pack(len(name)) + name + LAST)
                else:
                    length = len(name) if name < start else len(name) + 1
                    here = cursor.set_range(NAME_HEAD.pack(length) + start)
            return [name.decode() for name in found if len(name) < LONGEST_ID]

        return self._view(read)

    def _view(self, read: "Callable[[Txn], T]") -> T:
        while True:
            grown = self._grown
            try:
                with self._env.begin() as txn:
                    return read(txn)
            except lmdb.Error as error:
                if self._closed:
                    raise
                # A map that grows ends the views of it.
                if not self._growing and grown == self._grown:
                    raise self.distrust(error) from error
                time.sleep(0)
            except (Damaged, ValueError, LookupError) as error:
                raise self.distrust(error) from error

    # ── writing ──────────────────────────────────────────────────────────────────────────

    def write(self, pending: Pending) -> None:
        """All of it in one transaction. Raises IndexFull."""
        self._transact(lambda txn: self._put(txn, pending))
        self._shapes.saved()

    def expire(self, before_hour: int) -> bool:
        """Forget some answers of earlier hours; tells whether there are more. Raises IndexFull."""
        return self._transact(lambda txn: self._expire_some(txn, before_hour))

    def _transact(self, write: "Callable[[Txn], T]") -> T:
        while True:
            try:
                with self._env.begin(write=True) as txn:
                    return write(txn)
            except lmdb.MapFullError as error:
                self._grow(error)
            except lmdb.Error as error:
                if error.code in _NO_ROOM:
                    raise IndexFull(str(error)) from error
                raise self.distrust(error) from error

    def _grow(self, error: lmdb.Error) -> None:
        size = self._env.info()["map_size"] * 2
        if size > self._max_map_bytes:
            raise IndexFull(f"the map would be larger than {self._max_map_bytes} bytes") from error
        self._growing = True
        try:
            self._env.set_mapsize(size)
        finally:
            self._grown += 1
            self._growing = False

    def _put(self, txn: "Txn", pending: Pending) -> None:
        events = sorted(
            (event_place(stream_prefix(context, aggregate_id), version), event)
            for (context, aggregate_id, version), event in pending.events.items()
        )
        packed = [
            (key, pack_event(event, self._shapes.number(event.headers))) for key, event in events
        ]
        txn.cursor(self._events).putmulti(packed)
        self._put_answers(txn, pending)
        for aggregate_id, active in pending.active.items():
            key = named(aggregate_id)
            if active:
                txn.put(key, aggregate_id.encode(), db=self._active)
            else:
                txn.delete(key, db=self._active)
        for stream, snapshot in pending.snapshots.items():
            key = stream_prefix(*stream)
            if snapshot.value is None and snapshot is not DISTRUST:
                txn.delete(key, db=self._snapshots)
            else:
                txn.put(key, pack_snapshot(snapshot), db=self._snapshots)
        for context, at in pending.positions.items():
            txn.put(context.encode(), pack(at), db=self._state)
        for number, names in self._shapes.unsaved():
            txn.put(number.to_bytes(2), pack(names), db=self._shape_names)

    def _put_answers(self, txn: "Txn", pending: Pending) -> None:
        hours: defaultdict[int, list[bytes]] = defaultdict(list)
        answers = []
        for identity, (at_ms, answer) in pending.answers.items():
            digest = identity_digest(identity)
            hours[max(at_ms, 0) // HOUR_MS].append(digest)
            answers.append((digest, pack_answer(at_ms, answer)))
        txn.cursor(self._answers).putmulti(sorted(answers))
        for hour, digests in hours.items():
            key = hour.to_bytes(5) + txn.id().to_bytes(8)
            txn.put(key, b"".join(digests), db=self._expiry)

    def _expire_some(self, txn: "Txn", before_hour: int) -> bool:
        count = 0
        cursor = txn.cursor(self._expiry)
        while cursor.first() and int.from_bytes(cursor.key()[:5]) < before_hour:
            if count >= EXPIRED_AT_ONCE:
                return True
            hour = int.from_bytes(cursor.key()[:5])
            for digest in _digests(cursor.value()):
                data = txn.get(digest, db=self._answers)
                if data is not None and msgpack.unpackb(data)[0] // HOUR_MS <= hour:
                    txn.delete(digest, db=self._answers)
                count += 1
            cursor.delete()
        return False


def _digests(joined: bytes) -> Iterator[bytes]:
    if len(joined) % DIGEST_BYTES:
        raise Damaged("a list of answers to forget is cut off")
    return (joined[at : at + DIGEST_BYTES] for at in range(0, len(joined), DIGEST_BYTES))
