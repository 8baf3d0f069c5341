"""What the engine waits for: steps that are to start, and runs that must have ended."""

import heapq
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from domain.execution.state import Running, Scheduled
from streams.records import text

FEW_DEADLINES = 100


@dataclass(frozen=True, slots=True, order=True)
class DueStep:
    """A step that waits for its time or for room; ordered by time.

    An orphan was scheduled for a worker that is gone: it is delivered anew before it starts.
    """

    at: datetime
    execution_id: str
    step_id: str
    attempt: int
    delivery: int
    cause: str
    correlation: str
    orphan: bool = False

    @property
    def key(self) -> str:
        return f"{self.execution_id}/{self.step_id}/{self.attempt}"


@dataclass(frozen=True, slots=True, order=True)
class Deadline:
    """When a run must have ended."""

    at: datetime
    execution_id: str
    cause: str
    correlation: str

    @property
    def key(self) -> str:
        return self.execution_id


class Deadlines:
    """Of the runs that have one, the first to come first."""

    def __init__(self) -> None:
        self._waiting: list[Deadline] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def first(self) -> list[datetime]:
        """When the next one is over; empty where there is none."""
        return [one.at for one in self._waiting[:1]]

    def watch(self, execution_id: str, at: datetime | None, headers: Mapping[str, bytes]) -> None:
        """Wait for the deadline of a run, if it has one; `headers` are those of an event of it."""
        if at is not None:
            cause, correlation = text(headers, "ce_id"), text(headers, "ce_correlationid")
            heapq.heappush(self._waiting, Deadline(at, execution_id, cause, correlation))

    def over(self, now: datetime) -> Iterator[Deadline]:
        """Those that are over, each once."""
        while self._waiting and self._waiting[0].at <= now:
            yield heapq.heappop(self._waiting)

    def purge(self, runs: Collection[str]) -> None:
        """Forget those of other runs than these, once they are the greater part."""
        if len(self._waiting) > 2 * len(runs) + FEW_DEADLINES:
            self._waiting = [one for one in self._waiting if one.execution_id in runs]
            heapq.heapify(self._waiting)


def due_step(
    execution_id: str,
    step_id: str,
    step: Scheduled,
    headers: Mapping[str, bytes],
    *,
    orphan: bool = False,
) -> DueStep:
    return DueStep(
        at=step.due_at,
        execution_id=execution_id,
        step_id=step_id,
        attempt=step.attempt,
        delivery=step.delivery,
        cause=text(headers, "ce_id"),
        correlation=text(headers, "ce_correlationid"),
        orphan=orphan,
    )


def is_current(due: DueStep, state: Running) -> bool:
    """Whether the run still waits for just this delivery."""
    step = state.steps.get(due.step_id)
    return isinstance(step, Scheduled) and (step.attempt, step.delivery) == (
        due.attempt,
        due.delivery,
    )
