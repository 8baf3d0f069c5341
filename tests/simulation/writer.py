"""The transactional producers of a worker: `KafkaWriter` on the model, a request per step.

Produce (each partition, in any order) ┐
TxnOffsetCommit                        ┘──► EndTxn ──► ends | TransactionError
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from streams.error_table import TransactionError
from streams.kafka_writer import transactional_ids
from streams.tailer import ENGINE
from streams.turn import Place, Transaction, Write
from tests.simulation.broker import Broker, BrokerError, EndTxn, LogName, Session
from tests.simulation.chaos import Chaos
from tests.simulation.log import Content

STRAY_HITS = 0.5
"""How likely an EndTxn that is late comes between two requests of its producer."""
NOTICED = 0.1
"""How likely statistics tell of a broken connection before the next transaction."""
Steps = Generator[None, None, None]
Outcome = Mapping[Place, int] | TransactionError


@dataclass(slots=True)
class Network:
    """The way to the broker; `strays` are requests that are still on it, `calm` = none gets lost."""

    broker: Broker
    chaos: Chaos
    random: Random
    note: Callable[..., None]
    calm: bool = True
    strays: list[EndTxn] = field(default_factory=list)

    def chance(self, probability: float) -> bool:
        return not self.calm and self.random.random() < probability

    def stray_arrives(self, producer: Session | None = None) -> bool:
        """Deliver an EndTxn that was on its way; whether it hit a transaction of its producer."""
        found = [stray for stray in self.strays if producer in (None, stray.session)]
        if not found:
            return False
        stray = self.random.choice(found)
        self.strays.remove(stray)
        self.note("stray", *stray)
        return self.broker.deliver(stray)

    def leave_stray(self, session: Session) -> None:
        """A copy of a commit stays on its way.

        Or of an abort, as it was in a writer that went on with its producer after one: the shipped
        one does not, yet what it may do must stay harmless.
        """
        commit = not (self.chaos.abort_strays and self.random.random() < 0.5)
        self.strays.append(EndTxn(session, commit))


class _Lost(Exception):
    """No reply came in time."""


@dataclass(slots=True)
class _Trusted:
    """A producer; `cut` = its connection broke, `doubted` once that is known."""

    session: Session
    cut: bool = False
    doubted: bool = False


def is_internal(transaction: Transaction) -> bool:
    """Whether it holds events, and all are of commands that the engine gave."""
    engine = ("ce_source", ENGINE.encode())
    return bool(transaction.writes) and all(engine in w.headers for w in transaction.writes)


class Writer:
    """Driven by one thread of a worker at a time; each `yield` is where it may die."""

    def __init__(self, network: Network, name: str) -> None:
        self._network = network
        self._name = name
        self._producers: list[_Trusted] = []
        self._turns = 0

    def connect(self) -> Steps:
        if not self._producers:
            producers = []
            for transactional_id in transactional_ids(self._name):
                session = yield from self.initialize(transactional_id)
                producers.append(_Trusted(session))
            self._producers = producers

    def initialize(self, transactional_id: str) -> Generator[None, None, Session]:
        """InitProducerId, which the library repeats until the broker is there."""
        yield
        while self._network.broker.down:
            yield
        self._network.note(self._name, "InitProducerId", transactional_id)
        return self._network.broker.init_producer_id(transactional_id)

    def discard(self) -> None:
        self._producers = []

    def idle(self) -> None:
        """Statistics come."""
        for trusted in self._producers:
            if trusted.cut and self._network.chance(NOTICED):
                trusted.doubted = True

    def run(self, transaction: Transaction) -> Generator[None, None, Outcome]:
        self.idle()
        if any(trusted.doubted for trusted in self._producers):
            self.discard()
        yield from self.connect()
        self._turns += 1
        trusted = self._producers[self._turns % len(self._producers)]
        ends: dict[Place, int] = {}
        try:
            for action in self._actions(transaction):
                yield
                self._reachable()
                if self._network.chance(STRAY_HITS):
                    self._network.stray_arrives(trusted.session)
                self._act(trusted.session, transaction, action, ends)
            yield
            self._commit(trusted)
        except _Lost:
            return TransactionError("_TIMED_OUT")
        except BrokerError as error:
            # Not aborted: the next producer of this id does so when it is initialized.
            name = str(error)
            return TransactionError(name, fatal=name in ("_FENCED", "INVALID_TXN_STATE"))
        return ends

    # ── requests ─────────────────────────────────────────────────────────────────────────

    def _actions(self, transaction: Transaction) -> list[list[Write]]:
        """Writes by partition, in any order; the empty one stands for the offsets."""
        by_partition: dict[LogName, list[Write]] = {}
        for write in transaction.writes:
            by_partition.setdefault((write.topic, write.partition), []).append(write)
        actions = list(by_partition.values())
        random, chaos = self._network.random, self._network.chaos
        random.shuffle(actions)
        if chaos.split_batches:
            actions = [part for action in actions for part in _split(action, random)]
        last = len(actions)
        actions.insert(random.choice((0, last, random.randint(0, last))), [])
        return actions

    def _act(
        self,
        session: Session,
        transaction: Transaction,
        writes: list[Write],
        ends: dict[Place, int],
    ) -> None:
        if not writes:
            self.send_offsets(session, transaction)
            return
        broker, name = self._network.broker, (writes[0].topic, writes[0].partition)
        if self._network.chance(self._network.chaos.refused):
            raise BrokerError("NOT_ENOUGH_REPLICAS")
        if _is_first(transaction, writes[0]):
            broker.add_partition(session, name)
        contents = [Content(write.key, write.value, write.headers) for write in writes]
        records = broker.produce(session, name, contents)
        self._network.note(self._name, "Produce", *name, records[0].offset, len(records))
        if writes[-1].place is not None:
            ends[writes[-1].place] = records[-1].offset

    def send_offsets(self, session: Session, transaction: Transaction) -> None:
        generation, _, member = transaction.group.decode().partition(":")
        offsets: dict[Place, Any] = {
            place: (offset, transaction.metadata[place])
            for place, offset in transaction.offsets.items()
        }
        self._network.note(self._name, "TxnOffsetCommit", generation, dict(transaction.offsets))
        self._network.broker.commit_offsets(session, int(generation), member, offsets)

    def _commit(self, trusted: _Trusted) -> None:
        """EndTxn, and what the network does to it."""
        network, chaos = self._network, self._network.chaos
        self._reachable()
        if network.chance(chaos.request_late):
            network.leave_stray(trusted.session)
            raise _Lost
        if network.chance(chaos.sent_twice):
            network.leave_stray(trusted.session)
            trusted.cut = True
        network.broker.end_txn(trusted.session, commit=True)
        if network.chance(chaos.reply_lost):
            raise _Lost

    def _reachable(self) -> None:
        if self._network.broker.down:
            raise _Lost


def group_bytes(generation: int, member: str) -> bytes:
    """What the lane freezes as the group's metadata."""
    return f"{generation}:{member}".encode()


def _is_first(transaction: Transaction, write: Write) -> bool:
    """Whether the library still has to add the partition: it does so once a transaction."""
    return next(w for w in transaction.writes if w[:2] == write[:2]) is write


def _split(writes: list[Write], random: Random) -> list[list[Write]]:
    cut = random.randint(1, len(writes))
    return [part for part in (writes[:cut], writes[cut:]) if part]
