"""The reader rule: an aggregate's events are taken 1, 2, 3 …, whatever order they stand in.

version ≤ last     → drop
version = last + 1 → take, and what waited behind it
a gap              → wait until the end seen when it appeared is reached, then park the
                     aggregate; the others go on, and the missing event still mends it
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_WAITING = 10_000
"""Events kept behind gaps of one partition (~10 MB); more are left to a rebuild."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event as read; `event` is `None` where it was pruned or cannot be read."""

    aggregate_id: str
    version: int
    offset: int
    event: Any


@dataclass(slots=True)
class _Gap:
    first_offset: int
    end: int
    parked: bool = False
    waiting: dict[int, Arrived] = field(default_factory=dict)


class Order:
    """The gaps of one partition, for one projection."""

    def __init__(self) -> None:
        self._gaps: dict[str, _Gap] = {}
        self._waiting = 0

    def take(self, arrived: Arrived, *, last: int, end: int) -> Sequence[Arrived]:
        """What is to be folded now that `arrived` is here.

        `last` is the version of the aggregate's row, 0 where it has none; `end` is the
        partition's end as known now.
        """
        if arrived.version <= last:
            return ()
        if arrived.version > last + 1:
            self._wait(arrived, end)
            return ()
        gap = self._gaps.pop(arrived.aggregate_id, None)
        if gap is None:
            return (arrived,)
        return self._mend(arrived, gap)

    def reached(self, offset: int) -> Sequence[str]:
        """The aggregates that are parked because everything before `offset` was read."""
        parked = [
            aggregate_id
            for aggregate_id, gap in self._gaps.items()
            if not gap.parked and gap.end <= offset
        ]
        for aggregate_id in parked:
            self._gaps[aggregate_id].parked = True
        return parked

    def safe_before(self, offset: int) -> int:
        """The offset up to which nothing has to be read again: `offset`, or where a gap begins."""
        begins = [gap.first_offset for gap in self._gaps.values() if not gap.parked]
        return min([offset, *begins])

    @property
    def parked(self) -> int:
        """How many aggregates stand still."""
        return sum(gap.parked for gap in self._gaps.values())

    def _wait(self, arrived: Arrived, end: int) -> None:
        gap = self._gaps.get(arrived.aggregate_id)
        if gap is None:
            gap = self._gaps[arrived.aggregate_id] = _Gap(arrived.offset, end)
        if arrived.version not in gap.waiting and self._waiting < MAX_WAITING:
            gap.waiting[arrived.version] = arrived
            self._waiting += 1

    def _mend(self, arrived: Arrived, gap: _Gap) -> Sequence[Arrived]:
        run = [arrived]
        while (following := gap.waiting.pop(run[-1].version + 1, None)) is not None:
            run.append(following)
        self._waiting -= len(run) - 1
        if gap.waiting:
            self._gaps[arrived.aggregate_id] = gap
        return run
