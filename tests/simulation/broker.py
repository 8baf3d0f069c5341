"""Kafka in the model: one broker, its logs, its transaction coordinator and the worker group.

InitProducerId ──► Produce ⟲ ──► TxnOffsetCommit ──► EndTxn          as librdkafka speaks it: EndTxn v1

The epoch of a producer grows at InitProducerId alone, so an EndTxn that comes late is taken for the
producer's next one (KAFKA-17754); after InitProducerId it is refused.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from streams.turn import Place
from tests.simulation.group import Group
from tests.simulation.log import Content, Log, Record

START = datetime(2026, 1, 1, tzinfo=UTC)
TRANSACTION_TIMEOUT_MS = 10_000
LogName = tuple[str, int]


class BrokerError(Exception):
    """Kafka's name of an error."""


class Session(NamedTuple):
    """What InitProducerId gives to a producer."""

    transactional_id: str
    producer: int
    epoch: int


class EndTxn(NamedTuple):
    """A request that is still on its way."""

    session: Session
    commit: bool


@dataclass(slots=True)
class _Coordinated:
    """A transactional id; `last` is how its last transaction ended, `None` before the first."""

    producer: int
    epoch: int = 0
    ongoing: bool = False
    last: bool | None = None
    since_ms: int = 0
    partitions: dict[LogName, None] = field(default_factory=dict)
    offsets: dict[Place, tuple[int, str]] = field(default_factory=dict)


class Broker:
    """`on_visible` hears of each record that consumers may see from now on, in order, and
    `on_offset` of each offset that the group commits: (place, before, after).
    """

    def __init__(
        self,
        on_visible: Callable[[LogName, Record], None],
        on_offset: Callable[[Place, int, int], None] = lambda place, before, after: None,
    ) -> None:
        self.now_ms = 0
        self.logs: dict[LogName, Log] = {}
        self.group = Group()
        self.answered: dict[Place, int] = {}
        self.down = False
        self.tears = 0
        self._moments = 0
        self._ids: dict[str, _Coordinated] = {}
        self._on_visible = on_visible
        self._on_offset = on_offset

    @property
    def now(self) -> datetime:
        return START + timedelta(milliseconds=self.now_ms)

    def another_moment(self) -> datetime:
        """Now, and at no time that was told so before: no two turns are of one microsecond."""
        self._moments += 1
        return self.now + timedelta(microseconds=self._moments)

    def log(self, name: LogName) -> Log:
        found = self.logs.get(name)
        if found is None:
            found = self.logs[name] = Log()
        return found

    def append(self, name: LogName, content: Content) -> Record:
        """A record outside transactions."""
        (record,) = self.log(name).append((content,), self._at_ms)
        self._on_visible(name, record)
        return record

    @property
    def _at_ms(self) -> int:
        return int(START.timestamp() * 1000) + self.now_ms

    # ── transactions ─────────────────────────────────────────────────────────────────────

    def init_producer_id(self, transactional_id: str) -> Session:
        """Abort what the id left open and shut out whoever held it."""
        found = self._ids.setdefault(transactional_id, _Coordinated(len(self._ids)))
        if found.ongoing:
            self._decide(found, commit=False)
        found.epoch += 1
        found.last = None
        return Session(transactional_id, found.producer, found.epoch)

    def add_partition(self, session: Session, name: LogName) -> None:
        found = self._current(session)
        self._begin(found)
        found.partitions[name] = None

    def produce(self, session: Session, name: LogName, contents: Iterable[Content]) -> list[Record]:
        """Raises BrokerError where the transaction was decided behind the producer's back."""
        found = self._current(session)
        if not found.ongoing or name not in found.partitions:
            raise BrokerError("INVALID_TXN_STATE")
        return self.log(name).append(contents, self._at_ms, found.producer)

    def commit_offsets(
        self,
        session: Session,
        generation: int,
        member: str,
        offsets: Mapping[Place, tuple[int, str]],
    ) -> None:
        """AddOffsetsToTxn and TxnOffsetCommit."""
        found = self._current(session)
        self._begin(found)
        if member not in self.group.members:
            raise BrokerError("UNKNOWN_MEMBER_ID")
        if generation != self.group.generation:
            raise BrokerError("ILLEGAL_GENERATION")
        found.offsets |= offsets

    def commit_offsets_unfenced(
        self, session: Session, offsets: Mapping[Place, tuple[int, str]]
    ) -> None:
        """What generation -1 with an empty member does: nobody is asked."""
        found = self._current(session)
        self._begin(found)
        found.offsets |= offsets

    def end_txn(self, session: Session, *, commit: bool) -> None:
        """Decide the ongoing transaction; the same word about a decided one is a repetition."""
        found = self._current(session)
        if found.ongoing:
            self._decide(found, commit=commit)
        elif found.last is not commit:
            raise BrokerError("INVALID_TXN_STATE")

    def deliver(self, stray: EndTxn) -> bool:
        """An EndTxn comes late; whether it decided a transaction it was not meant for."""
        found = self._ids[stray.session.transactional_id]
        if found.epoch != stray.session.epoch or not found.ongoing:
            return False
        self.tears += 1
        self._decide(found, commit=stray.commit)
        return True

    def expire_transactions(self) -> int:
        """Abort what is open for too long; its producer is fenced."""
        late = [
            found
            for found in self._ids.values()
            if found.ongoing and self.now_ms - found.since_ms >= TRANSACTION_TIMEOUT_MS
        ]
        for found in late:
            self._decide(found, commit=False)
            found.epoch += 1
        return len(late)

    def _current(self, session: Session) -> _Coordinated:
        found = self._ids[session.transactional_id]
        if found.epoch != session.epoch:
            raise BrokerError("_FENCED")
        return found

    def _begin(self, found: _Coordinated) -> None:
        if not found.ongoing:
            found.ongoing, found.since_ms = True, self.now_ms

    def _decide(self, found: _Coordinated, *, commit: bool) -> None:
        partitions, offsets = found.partitions, found.offsets
        found.partitions, found.offsets = {}, {}
        found.ongoing, found.last = False, commit
        visible = [
            (name, record)
            for name in partitions
            for record in self.log(name).mark(found.producer, self._at_ms, commit=commit)
        ]
        for name, record in visible:
            self._on_visible(name, record)
        if commit:
            for place, offset in offsets.items():
                before, _ = self.group.offsets.get(place, (0, ""))
                self.group.offsets[place] = offset
                self._on_offset(place, before, offset[0])

    # ── what the group's coordinator says ────────────────────────────────────────────────

    def pending(self, place: Place) -> bool:
        """Whether a transaction that is not decided will change the place's offset."""
        return any(place in found.offsets for found in self._ids.values())

    def open_transactions(self) -> int:
        return sum(found.ongoing for found in self._ids.values())
