"""given(decider, events …).when(command).then(events …): a rule on one screen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.decider import Decider, Facts
from domain.definition import PinnedDefinition
from domain.errors import FlexCoreError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When every decision is made, unless a test says otherwise."""


def after(seconds: float) -> datetime:
    """A moment so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def facts(
    at: datetime = NOON, chance: float = 0.0, pipeline: PinnedDefinition | None = None
) -> Facts:
    """What decisions of `ada` rest on."""
    return Facts(at=at, actor="ada", chance=chance, pipeline=pipeline)


@dataclass(frozen=True)
class Decision:
    """What `decide` answered: events, or an error."""

    events: Sequence[Any]
    error: FlexCoreError | None

    def then(self, *events: object) -> None:
        """Exactly these events, in this order."""
        assert self.error is None, self.error
        assert list(self.events) == list(events)

    def then_nothing(self) -> None:
        """Accepted, and all is so already."""
        self.then()

    def then_refused(self, code: str) -> FlexCoreError:
        """Refused with `code`; returns the error for a look at its words."""
        assert self.error is not None, f"accepted: {self.events}"
        assert self.error.code == code
        return self.error


@dataclass(frozen=True)
class Given:
    """The history of one aggregate."""

    decider: Decider[Any, Any, Any]
    history: Sequence[Any]

    @property
    def state(self) -> Any:
        """What the history amounts to."""
        return self.decider.fold(self.history)

    def when(self, command: object, facts: Facts | None = None) -> Decision:
        """Decide twice, to see that nothing is remembered between."""
        first, second = self._decide(command, facts), self._decide(command, facts)
        assert first.events == second.events, "decide is not a function"
        return first

    def _decide(self, command: object, given_facts: Facts | None) -> Decision:
        try:
            return Decision(self.decider.decide(command, self.state, given_facts or facts()), None)
        except FlexCoreError as error:
            return Decision((), error)


def given(decider: Decider[Any, Any, Any], *history: object) -> Given:
    """The aggregate after these events."""
    return Given(decider, history)
