"""One partition of the model: records, markers, and what a read_committed consumer may see of them.

offset   0   1   2   3   4
         a   b   B   c   │          B = marker; a reader stops at the first undecided record (LSO)
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from streams.records import Headers


class Record(NamedTuple):
    """As a consumer gets it."""

    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Content(NamedTuple):
    """As a producer sends it."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class State(Enum):
    OPEN = "open"
    COMMITTED = "committed"
    HIDDEN = "hidden"
    """Aborted, compacted away, or a marker."""


@dataclass(slots=True)
class _Entry:
    record: Record
    state: State
    producer: int


NOBODY = -1
"""The producer of records outside transactions."""
_MARKER = Content(None, None, ())


@dataclass(slots=True)
class Log:
    """Offsets never change; a marker takes one."""

    entries: list[_Entry] = field(default_factory=list)
    open_from: dict[int, int] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The true end: what is written, committed or not."""
        return len(self.entries)

    @property
    def stable_end(self) -> int:
        """The LSO."""
        return min(self.open_from.values()) if self.open_from else len(self.entries)

    def append(
        self, contents: Iterable[Content], at_ms: int, producer: int = NOBODY
    ) -> list[Record]:
        """The records with their offsets; those of a producer stay undecided until its marker."""
        state = State.COMMITTED if producer == NOBODY else State.OPEN
        added = []
        for content in contents:
            record = Record(len(self.entries), at_ms, *content)
            self.entries.append(_Entry(record, state, producer))
            added.append(record)
        if producer != NOBODY and added:
            self.open_from.setdefault(producer, added[0].offset)
        return added

    def mark(self, producer: int, at_ms: int, *, commit: bool) -> list[Record]:
        """Decide what the producer left open; the records that became visible."""
        start = self.open_from.pop(producer, len(self.entries))
        decided = [
            e for e in self.entries[start:] if e.producer == producer and e.state is State.OPEN
        ]
        for entry in decided:
            entry.state = State.COMMITTED if commit else State.HIDDEN
        marker = Record(len(self.entries), at_ms, *_MARKER)
        self.entries.append(_Entry(marker, State.HIDDEN, producer))
        return [entry.record for entry in decided] if commit else []

    def read(self, position: int, limit: int = 10_000) -> tuple[list[Record], int]:
        """Committed records of at most `limit` offsets from `position` on, and the next position."""
        stop = min(position + limit, self.stable_end)
        found = [e.record for e in self.entries[position:stop] if e.state is State.COMMITTED]
        return found, max(stop, position)

    def compact(self, below: int) -> int:
        """Keep the last committed record of each key; of offsets from `below` on, all."""
        last: dict[bytes | None, int] = {}
        seen = self.entries[: self.stable_end]
        for entry in seen:
            if entry.state is State.COMMITTED:
                last[entry.record.key] = entry.record.offset
        gone = [
            entry
            for entry in seen[:below]
            if entry.state is State.COMMITTED and last[entry.record.key] != entry.record.offset
        ]
        for entry in gone:
            entry.state = State.HIDDEN
        return len(gone)
