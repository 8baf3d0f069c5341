"""Suspects in a small file per slot, mapped into memory: the page cache outlives the process.

    log │ mark │ suspect │ suspect │ …        32 bytes each: context, partition, offset, deaths

The slot's worker alone writes its file; all workers of a data folder read those of the others, so
that a command which kills one after the other is known to the third.
"""

import hashlib
import mmap
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

from domain.contexts import CONTEXTS
from streams.suspects import Spot
from streams.verdicts import CommandRecord

log = structlog.get_logger("flexcore.lane")

_ROW = struct.Struct("<16sIqI")
_COUNT = struct.Struct("<I")
FILE_BYTES = 4_096
_MARK = _ROW.size
_MARK_COUNT = 2 * _ROW.size - _COUNT.size
_FIRST_SUSPECT = 2 * _ROW.size
_NAMES = {context: context.encode() for context in CONTEXTS}


class MappedSuspects:
    """Opened once by the worker that holds the slot; a mark that stands is counted then."""

    def __init__(self, folder: Path, slot: int, log_id: str) -> None:
        """`log_id` tells this log from others: offsets of another one name other commands."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._log = hashlib.sha256(log_id.encode()).digest()
        path = self._path = folder / str(slot)
        if not path.exists() or path.stat().st_size != FILE_BYTES:
            # Written, not only made long: on a full disk a mapped hole would kill the process.
            path.write_bytes(bytes(FILE_BYTES))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), FILE_BYTES)
        if self._map[: _ROW.size] != self._log:
            self._map[:] = self._log + bytes(FILE_BYTES - _ROW.size)
        self._count()

    def judging(self, record: CommandRecord) -> None:
        name = _NAMES[record.context]
        _ROW.pack_into(self._map, _MARK, name, record.partition, record.offset, 1)

    def judged(self) -> None:
        _COUNT.pack_into(self._map, _MARK_COUNT, 0)

    def deaths(self) -> Mapping[Spot, int]:
        found: Counter[Spot] = Counter()
        for path in self._folder.iterdir():
            data = path.read_bytes()
            if len(data) == FILE_BYTES and data[: _ROW.size] == self._log:
                # Of what this worker owns, nobody else judges anything any more: a mark of another
                # one is its death, which it has not come back from yet.
                first = _FIRST_SUSPECT if path == self._path else _MARK
                for _, spot, deaths in _rows(data, first):
                    found[spot] += deaths
        return {spot: deaths for spot, deaths in found.items() if deaths}

    def _count(self) -> None:
        """Take a mark that stands for a death."""
        name, partition, offset, stands = _ROW.unpack_from(self._map, _MARK)
        if not stands:
            return
        marked = name.rstrip(b"\0").decode(errors="replace"), partition, offset
        rows = list(_rows(self._map[:], _FIRST_SUSPECT))
        # Where all rows are taken, by many a kill at random, the least suspect one gives way.
        known = [(at, deaths) for at, spot, deaths in rows if spot == marked]
        at, before = known[0] if known else (min(rows, key=lambda row: row[2])[0], 0)
        _ROW.pack_into(self._map, at, name, partition, offset, before + 1)
        self.judged()
        log.warning("died_while_judging", spot=marked, deaths=before + 1)


def _rows(data: bytes, first: int) -> Iterator[tuple[int, Spot, int]]:
    """(place in the file, command, deaths) of each row from one on; 0 deaths in an empty one."""
    for at in range(first, FILE_BYTES, _ROW.size):
        name, partition, offset, deaths = _ROW.unpack_from(data, at)
        yield at, (name.rstrip(b"\0").decode(errors="replace"), partition, offset), deaths
