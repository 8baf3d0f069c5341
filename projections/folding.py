"""The events of one fetch become rows: order, fold, each touched row once.

Arrived … ──► Order ──► fold ──► Folded(rows, up to where it is safe)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson
import structlog

from projections.projection import Meta, Projection, Row
from projections.values import dumps
from streams.order import Arrived, Order

log = structlog.get_logger("flexcore.projections")


@dataclass(frozen=True, slots=True)
class Entry:
    """A row and the position of the last event in it (`pipeline/3@12345`)."""

    row: Row
    position: str

    def value(self, aggregate_id: str) -> bytes:
        """What the table holds; the version comes before everything that is not ours."""
        shown = {"key": aggregate_id, "version": self.row.version}
        return dumps({**shown, "position": self.position, "value": self.row})


def entry_of(value: bytes, projection: Projection) -> Entry:
    """The opposite of `Entry.value`."""
    held = orjson.loads(value)
    return Entry(projection.load(held["value"]), held["position"])


@dataclass(frozen=True, slots=True)
class Folded:
    """What a batch made of a projection: the touched rows, and up to where it is safe."""

    projection: Projection
    partition: int
    rows: dict[str, Entry]
    next_offset: int
    safe_offset: int
    parked: Sequence[str]


class Folder:
    """Folds the batches of one projection.

    `lookup` gives the table's bytes for an aggregate id, or `None`.
    """

    def __init__(self, projection: Projection, lookup: Callable[[str], bytes | None]) -> None:
        self.projection = projection
        self._lookup = lookup
        self._orders: dict[int, Order] = {}

    def forget(self) -> None:
        """Start anew: after an assignment everything not safe is read again."""
        self._orders.clear()

    @property
    def parked(self) -> int:
        """How many aggregates stand still because an event is missing."""
        return sum(order.parked for order in self._orders.values())

    @property
    def open_gaps(self) -> Sequence[int]:
        """Partitions whose reading position is held back by a gap not yet confirmed."""
        endless = 2**63
        return [p for p, order in self._orders.items() if order.safe_before(endless) < endless]

    def fold(
        self, partition: int, arrived: Sequence[Arrived], next_offset: int, end: int
    ) -> Folded:
        """Fold events in the order they were read; `next_offset` follows the last of them."""
        order = self._orders.setdefault(partition, Order())
        rows: dict[str, Entry] = {}
        for one in arrived:
            held = self._held(one.aggregate_id, rows)
            if held is None and one.event is None:
                continue  # an aggregate that was pruned before anybody asked for its row
            for due in order.take(one, last=held.row.version if held else 0, end=end):
                held = self._after(held, due, partition)
            # A touched row is written even when nothing changed: after a crash the table and
            # PostgreSQL may stand at different versions, and each takes what it lacks.
            if held is not None:
                rows[one.aggregate_id] = held
        return self.confirmed(partition, next_offset, next_offset, rows)

    def confirmed(
        self, partition: int, reached: int, next_offset: int, rows: dict[str, Entry] | None = None
    ) -> Folded:
        """What is safe now that everything before `reached` was read."""
        order = self._orders.setdefault(partition, Order())
        parked = order.reached(reached)
        for aggregate_id in parked:
            log.error(
                "aggregate_parked",
                projection=self.projection.name,
                aggregate=aggregate_id,
                partition=partition,
            )
        safe = order.safe_before(next_offset)
        return Folded(self.projection, partition, rows or {}, next_offset, safe, parked)

    def _held(self, aggregate_id: str, rows: dict[str, Entry]) -> Entry | None:
        held = rows.get(aggregate_id)
        if held is None and (value := self._lookup(aggregate_id)) is not None:
            held = entry_of(value, self.projection)
        return held

    def _after(self, held: Entry | None, due: Arrived, partition: int) -> Entry | None:
        row = held.row if held else None
        if due.event is not None:
            row = self.projection.fold(row, due.event, Meta(due.aggregate_id, due.version))
        elif row is not None:
            row = self.projection.pruned(row, due.version)
        position = f"{self.projection.context}/{partition}@{due.offset}"
        return held if row is None else Entry(row, position)
