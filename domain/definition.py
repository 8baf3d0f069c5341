"""A pipeline's definition: a directed acyclic graph of steps, the same value in every context.

read ──► dated ──► monthly ─┐
                            ├─► joined ──► store       a step starts when its own needs are done
hourly ──► renamed ─────────┘
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

from domain.json_text import parse_json

MAX_STEPS = 1_000
"""A definition is repeated in each ExecutionStarted; 1,000 steps of 1 KiB fill a 1 MiB command."""
MAX_JSON_BYTES = 32 * 1024
"""Free-form values travel by value up to here; larger ones are blobs (the public contract)."""
MAX_ATTEMPTS = 100

Check = Callable[["Definition"], Iterable[str]]
"""Says what is wrong with a definition, a sentence each; none means that it can run."""

_CANONICAL = json.JSONEncoder(sort_keys=True)
STEP_ID = re.compile(r"[a-z][a-z0-9_]{0,62}")
PLUGIN = re.compile(r"[a-z][a-z0-9_-]{0,62}\.[a-z][a-z0-9_]{0,62}")


class OnError(Enum):
    """What a step's final failure means for its run."""

    FAIL = "fail"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class Retry:
    """Delay before attempt n+1 = initial_s · factor^(n-1), at most max_s, jittered by half."""

    attempts: int
    initial_s: float
    factor: float
    max_s: float
    jitter: bool

    def delay_s(self, attempt: int, chance: float) -> float:
        """Seconds to wait after `attempt` (from 1) failed; `chance` is uniform in [0, 1)."""
        # The exponent is capped so that a long series cannot overflow a float.
        delay = min(self.max_s, self.initial_s * self.factor ** min(attempt - 1, 64))
        return delay * (0.5 + 0.5 * chance) if self.jitter else delay


@dataclass(frozen=True, slots=True)
class Step:
    """One plugin call; `with_json` is its configuration as JSON text, templates included."""

    id: str
    uses: str
    needs: tuple[str, ...]
    on_error: OnError
    timeout_s: float | None
    retry: Retry | None
    when: str | None
    with_json: str


# No slots: what was found out about a definition stays with it, and goes with it.
@dataclass(frozen=True)
class Definition:
    """The steps of a pipeline in the order they were written."""

    steps: tuple[Step, ...]

    def content_hash(self) -> str:
        """sha256 over a canonical text: equal for definitions that mean the same."""
        return self._content_hash

    def found_by(self, check: Check) -> Sequence[str]:
        """What `check` finds wrong; each is asked once, so it must be a function of the value."""
        found = self._found.get(check)
        if found is None:
            found = self._found[check] = tuple(check(self))
        return found

    @cached_property
    def in_order(self) -> Sequence[Step]:
        """The steps such that each comes after its needs. Raises CycleError."""
        by_id = {step.id: step for step in self.steps}
        order = TopologicalSorter({step.id: step.needs for step in self.steps}).static_order()
        return [by_id[step_id] for step_id in order]

    @cached_property
    def _content_hash(self) -> str:
        text = _CANONICAL.encode([_plain(step) for step in self.steps])
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def _found(self) -> dict[Check, Sequence[str]]:
        return {}


@dataclass(frozen=True, slots=True)
class PinnedDefinition:
    """What an execution needs to know of a pipeline at the moment it starts."""

    pipeline_id: str
    active: bool
    revision: int
    hash: str
    definition: Definition


def _plain(step: Step) -> dict[str, Any]:
    retry = step.retry
    return {
        "id": step.id,
        "uses": step.uses,
        "needs": list(step.needs),
        "on_error": step.on_error.value,
        "timeout_s": step.timeout_s,
        "retry": retry
        and [retry.attempts, retry.initial_s, retry.factor, retry.max_s, retry.jitter],
        "when": step.when,
        "with": json.loads(step.with_json),
    }


def problems(definition: Definition) -> Iterator[str]:
    """Everything that is wrong with a definition, a sentence each; none means that it can run."""
    if not definition.steps:
        yield "a pipeline needs at least one step"
    if len(definition.steps) > MAX_STEPS:
        yield f"{len(definition.steps)} steps; at most {MAX_STEPS} are allowed"
        return
    known = {step.id for step in definition.steps}
    seen: set[str] = set()
    for step in definition.steps:
        if step.id in seen:
            yield f"step id {step.id!r} is used twice"
        seen.add(step.id)
        yield from (f"step {step.id!r}: {what}" for what in _step_problems(step, known))
    cycle = _cycle(definition)
    if cycle:
        yield f"the steps wait for each other: {' → '.join(cycle)}"


def _step_problems(step: Step, known: set[str]) -> Iterator[str]:
    if not STEP_ID.fullmatch(step.id):
        yield "a step id is a small letter, then small letters, digits and _, 63 at most"
    if not PLUGIN.fullmatch(step.uses):
        yield f"uses {step.uses!r}; a plugin is named publisher.name"
    for need in step.needs:
        if need not in known:
            yield f"needs {need!r}, which is no step of this pipeline"
    if len(set(step.needs)) < len(step.needs):
        yield "the same need stands twice"
    if step.timeout_s is not None and not 0 < step.timeout_s <= 86_400:
        yield f"timeout_s is {step.timeout_s:g}; it must be over 0 and at most 86400 seconds"
    if step.retry is not None:
        yield from _retry_problems(step.retry)
    yield from _with_problems(step.with_json)


def _retry_problems(retry: Retry) -> Iterator[str]:
    if not 1 <= retry.attempts <= MAX_ATTEMPTS:
        yield f"retry.attempts is {retry.attempts}; it must be 1 to {MAX_ATTEMPTS}"
    # Written so that NaN fails each comparison.
    if not (0 <= retry.initial_s <= 86_400 and 0 <= retry.max_s <= 86_400):
        yield "retry.initial_s and retry.max_s must be 0 to 86400 seconds"
    if not 1 <= retry.factor <= 100:
        yield f"retry.factor is {retry.factor:g}; it must be 1 to 100"


def _with_problems(with_json: str) -> Iterator[str]:
    if len(with_json.encode()) > MAX_JSON_BYTES:
        yield f"`with` is larger than {MAX_JSON_BYTES} bytes; put the data into a file"
        return
    try:
        value = parse_json(with_json)
    except ValueError as error:
        yield f"`with` is no JSON that can be used: {error}"
        return
    if not isinstance(value, dict):
        yield "`with` must be an object"
    elif holds_blob_reference(value):
        yield "`with` holds a $blob reference, which only FlexCore itself may make"


def holds_blob_reference(value: object) -> bool:
    """Whether client data contains a key `$blob` at any depth."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if "$blob" in item:
                return True
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return False


def _cycle(definition: Definition) -> Sequence[str]:
    """Steps of which each needs the one before, first = last; none where all can run."""
    if not any(step.needs for step in definition.steps):
        return ()
    try:
        TopologicalSorter({step.id: step.needs for step in definition.steps}).prepare()
    except CycleError as error:
        cycle: Sequence[str] = error.args[1]
        return cycle
    return ()
