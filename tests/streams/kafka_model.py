"""Kafka in miniature: logs, transactions and group offsets, as far as the write path rests on them.

begin ──► produce ──► send_offsets ──► commit | abort        a marker takes an offset of each log
readers stop at the first open transaction (read_committed); `end` is the true end
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from streams import commit_metadata
from streams.commit_metadata import CommitMetadata
from streams.records import Headers
from streams.topics import Topics
from streams.turn import Place, Transaction, Write

TOPICS = Topics("t")
PARTITIONS = 2
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
LogName = tuple[str, int]


@dataclass(slots=True)
class Open:
    """A transaction; `status` is open, committed or aborted."""

    writer: str
    transaction: Transaction
    ends: dict[Place, int] = field(default_factory=dict)
    offsets_sent: bool = False
    status: str = "open"


@dataclass(frozen=True, slots=True)
class Entry:
    """`write` is `None` for a marker, `owner` for a record outside transactions."""

    write: Write | None
    owner: Open | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as a consumer gets it."""

    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Kafka:
    """One broker and one consumer group."""

    def __init__(self) -> None:
        self.now = START
        self.logs: dict[LogName, list[Entry]] = {}
        self.transactions: list[Open] = []
        self.changes = 0
        self.offsets: dict[Place, tuple[int, str]] = {}
        self.answered: dict[Place, int] = {}
        self.generation = 0
        self.members: frozenset[str] = frozenset()

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # ── records ──────────────────────────────────────────────────────────────────────────

    def append(self, write: Write, owner: Open | None = None) -> int:
        """The offset at which the record stands."""
        log = self.logs.setdefault((write.topic, write.partition), [])
        log.append(Entry(write, owner, self.now))
        self.changes += 1
        return len(log) - 1

    def end(self, name: LogName) -> int:
        return len(self.logs.get(name, ()))

    def read(self, name: LogName, position: int, limit: int = 10_000) -> tuple[list[Stored], int]:
        """At most `limit` offsets from `position` on: committed records and the next position."""
        found: list[Stored] = []
        for offset, entry in enumerate(self.logs.get(name, ())[position : position + limit]):
            if entry.owner is not None and entry.owner.status == "open":
                return found, position + offset
            visible = entry.owner is None or entry.owner.status == "committed"
            if entry.write is not None and visible:
                at_ms = int(entry.at.timestamp() * 1000)
                record = entry.write.key, entry.write.value, entry.write.headers
                found.append(Stored(position + offset, at_ms, *record))
        return found, min(position + limit, max(self.end(name), position))

    def committed(self, topic: str) -> Sequence[Stored]:
        """Everything a reader sees on a topic, partition by partition."""
        return [r for p in range(PARTITIONS) for r in self.read((topic, p), 0)[0]]

    # ── transactions ─────────────────────────────────────────────────────────────────────

    def begin(self, writer: str, transaction: Transaction) -> Open:
        """Begin and produce: from now on the records stand in the logs, undecided."""
        opened = Open(writer, transaction)
        self.transactions.append(opened)
        for write in transaction.writes:
            offset = self.append(write, opened)
            if write.place is not None:
                opened.ends[write.place] = offset
        return opened

    def send_offsets(self, opened: Open, generation: int, member: str) -> bool:
        """Whether the group still knows this member in this generation."""
        opened.offsets_sent = generation == self.generation and member in self.members
        return opened.offsets_sent

    def finish(self, opened: Open, *, commit: bool) -> None:
        assert opened.status == "open"
        assert opened.offsets_sent or not commit
        opened.status = "committed" if commit else "aborted"
        self.changes += 1
        for name in {(w.topic, w.partition) for w in opened.transaction.writes}:
            self.logs[name].append(Entry(None, None, self.now))
        if commit:
            for place, offset in opened.transaction.offsets.items():
                self.offsets[place] = offset, opened.transaction.metadata[place]

    def open_transactions(self, wanted: Callable[[Open], bool] = lambda _: True) -> list[Open]:
        return [
            opened for opened in self.transactions if opened.status == "open" and wanted(opened)
        ]

    def initialize(self, writer: str) -> None:
        """`init_transactions`: what the id left open is aborted, who held it is fenced."""
        for opened in self.open_transactions(lambda opened: opened.writer == writer):
            self.finish(opened, commit=False)

    # ── the group ────────────────────────────────────────────────────────────────────────

    def rebalance(self, members: Collection[str]) -> int:
        self.generation += 1
        self.members = frozenset(members)
        return self.generation

    def metadata(self, place: Place) -> CommitMetadata:
        return commit_metadata.parse(self.offsets.get(place, (0, ""))[1])

    def stable(
        self, places: Collection[Place]
    ) -> Mapping[Place, tuple[int, CommitMetadata]] | None:
        """The group's offsets, `None` while a transaction that will change one is undecided."""
        if self.open_transactions(
            lambda opened: (
                opened.offsets_sent and not opened.transaction.offsets.keys().isdisjoint(places)
            )
        ):
            return None
        return {
            place: (self.offsets.get(place, (0, ""))[0], self.metadata(place)) for place in places
        }
