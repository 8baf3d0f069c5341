"""Commands that wait until the pipelines are read to an end, one per place, and all behind them."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from streams.turn import Place
from streams.verdicts import CommandRecord


@dataclass(slots=True)
class Parked:
    """`end` is where the topic of `needs` must be read to; not known at first."""

    record: CommandRecord
    needs: Place
    since: datetime
    end: int | None = None
    behind: deque[CommandRecord] = field(default_factory=deque)


class Parking:
    """Used by the lane's thread; others may ask how many there are."""

    def __init__(self) -> None:
        self._parked: dict[Place, Parked] = {}

    def __contains__(self, place: Place) -> bool:
        return place in self._parked

    def __len__(self) -> int:
        # Asked for by other threads: a dictionary may not be walked while the lane changes it.
        return sum(len(parked.behind) + 1 for parked in tuple(self._parked.values()))

    def __iter__(self) -> Iterator[tuple[Place, Parked]]:
        return iter(tuple(self._parked.items()))

    def park(self, place: Place, record: CommandRecord, needs: Place, at: datetime) -> None:
        self._parked[place] = Parked(record, needs, at)

    def wait_behind(self, place: Place, record: CommandRecord) -> None:
        self._parked[place].behind.append(record)

    def leave(self, place: Place) -> None:
        self._parked.pop(place, None)

    def empty(self) -> list[CommandRecord]:
        """Everything that stands here, in its order; afterwards nothing does."""
        found = [c for parked in self._parked.values() for c in (parked.record, *parked.behind)]
        self._parked = {}
        return found

    def wanted_ends(self) -> set[Place]:
        """The places whose true end somebody must look up."""
        return {parked.needs for parked in self._parked.values() if parked.end is None}

    def on_end(self, place: Place, end: int) -> None:
        """The true end of a place, taken after `wanted_ends` named it."""
        for parked in self._parked.values():
            if parked.needs == place and parked.end is None:
                parked.end = end
