"""An aggregate as three pure things: `initial`, `decide`, `evolve`.

command ──► decide(command, state, facts) ──► events ──► evolve(state, event) ──► state
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from domain.definition import Definition, PinnedDefinition
from domain.quick_init import quick_init

C = TypeVar("C")
E = TypeVar("E")
S = TypeVar("S")


def no_problems(_: Definition) -> Sequence[str]:
    """Where nobody checks expressions."""
    return ()


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a decision may rest on besides command and state, gathered before it is asked for.

    `at` is the lane's clock, never a client's; `chance` is uniform in [0, 1);
    `pipeline` is what an execution is to pin, `None` where there is no such pipeline;
    `expression_problems` names what is wrong with a definition's expressions.
    """

    at: datetime
    actor: str
    chance: float = 0.0
    pipeline: PinnedDefinition | None = None
    expression_problems: Callable[[Definition], Sequence[str]] = no_problems


@dataclass(frozen=True, slots=True)
class Decider(Generic[C, E, S]):
    """`decide` refuses by raising a `FlexCoreError`; no events mean that all is so already.

    `evolve` is total over history and never refuses; `evolve_all` is the same for many events,
    where one after the other would copy too much. Raise `state_version` when the same events lead
    to another state than before: snapshots of before are then passed over.
    """

    initial: S
    decide: Callable[[C, S, Facts], Sequence[E]]
    evolve: Callable[[S, E], S]
    evolve_all: Callable[[S, Iterable[E]], S] | None = None
    state_version: int = 1

    def fold(self, events: Iterable[E], state: S | None = None) -> S:
        """The state after `events`, starting from `state` or the beginning."""
        current = self.initial if state is None else state
        if self.evolve_all is not None:
            return self.evolve_all(current, events)
        for event in events:
            current = self.evolve(current, event)
        return current
