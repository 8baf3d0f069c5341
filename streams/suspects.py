"""Commands that a worker died of: who is being judged is marked, and each death is counted.

    judging ──► mark ──► death ──► counted by the next process ──► 2: judged alone ──► 3: given up

A command that kills (a crash in native code, memory that runs out) would otherwise be read again
by whoever takes over, for ever. A death while nothing is judged counts for nobody.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import structlog

from streams.judging import Judge, View
from streams.verdicts import CommandRecord, Verdict

log = structlog.get_logger("flexcore.lane")

ALONE_AFTER = 2
"""Deaths; one may be chance, and alone its neighbours neither suffer nor confuse."""
GIVEN_UP_AFTER = 3

Spot = tuple[str, int, int]
"""(context, partition, offset) of a command."""


class Suspects(Protocol):
    """Where marks and deaths are kept; what is marked must outlive the process."""

    def deaths(self) -> Mapping[Spot, int]:
        """How often a worker died while it judged a command; of what is not named, never."""
        ...

    def judging(self, record: CommandRecord) -> None:
        """Mark a command; called for each one, so it may take a microsecond at most."""
        ...

    def judged(self) -> None:
        """Take the mark away."""
        ...


class MemorySuspects:
    """Forgets with its process; `marked` is what is being judged."""

    def __init__(self, deaths: Mapping[Spot, int] | None = None) -> None:
        self.counted = dict(deaths or {})
        self.marked: Spot | None = None

    def deaths(self) -> Mapping[Spot, int]:
        return self.counted

    def judging(self, record: CommandRecord) -> None:
        self.marked = spot(record)

    def judged(self) -> None:
        self.marked = None


class WatchedJudge:
    """Judges commands, each under its mark; used by the lane's thread alone."""

    def __init__(self, judge: Judge, suspects: Suspects) -> None:
        self._judge = judge
        self._suspects = suspects
        self._deaths: Mapping[Spot, int] = {}

    def look(self) -> None:
        """Learn who died of what; when partitions have come."""
        self._deaths = dict(self._suspects.deaths())

    def wants_alone(self, record: CommandRecord) -> bool:
        """Whether nothing else may be in the turn that judges it."""
        return bool(self._deaths) and self._deaths.get(spot(record), 0) == ALONE_AFTER

    def judge(self, record: CommandRecord, view: View, at: datetime, final: bool) -> Verdict:
        """What becomes of a record; one that killed too often is refused without being read."""
        if self._deaths and (deaths := self._deaths.get(spot(record), 0)) >= GIVEN_UP_AFTER:
            log.error("command_given_up", spot=spot(record), deaths=deaths)
            what = f"{deaths} times a worker died while it judged this command"
            return self._judge.give_up(record, view, what)
        self._suspects.judging(record)
        try:
            return self._judge.judge(record, view, at, final)
        finally:
            self._suspects.judged()


def spot(record: CommandRecord) -> Spot:
    return record.context, record.partition, record.offset
