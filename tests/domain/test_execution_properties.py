"""Whatever the graph and whatever happens to its steps: each runs in its turn, and the run ends."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from domain.definition import Definition, OnError, Retry
from domain.errors import Refused
from domain.execution.execution import EXECUTION, MAX_DELIVERIES
from domain.execution.messages import (
    CancelExecution,
    ExecutionCancelled,
    ExecutionCommand,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExpireExecution,
    PipelineStepCompleted,
    PipelineStepFailed,
    PipelineStepScheduled,
    PipelineStepSkipped,
    RedeliverStep,
    SkipStep,
)
from domain.execution.state import Absent, Ended, Pending, Running, Scheduled, State, StepState
from tests.domain.given import NOON, facts
from tests.domain.runs import EXECUTE, ID, complete, fail, scheduled
from tests.domain.samples import ONE, definition, pinned, step


@st.composite
def graphs(draw: st.DrawFn) -> Definition:
    """Up to eight steps in any order, each needing some of those that come before it in another."""
    count = draw(st.integers(1, 8))
    steps = []
    for number in range(count):
        needs = draw(st.sets(st.integers(0, number - 1))) if number else set()
        attempts = draw(st.integers(0, 3))
        retry = Retry(attempts, 1.0, 2.0, 60.0, jitter=True) if attempts else None
        steps.append(
            step(
                f"s{number}",
                *[f"s{need}" for need in sorted(needs)],
                retry=retry,
                when=draw(st.sampled_from([None, "true"])),
                on_error=draw(st.sampled_from(OnError)),
            )
        )
    return definition(*draw(st.permutations(steps)))


class Run:
    """A run that is driven to its end by chance, with every answer it ever got kept for later."""

    def __init__(self, of: Definition, chance: random.Random) -> None:
        self.definition = of
        self.chance = chance
        self.state: State = EXECUTION.initial
        self.history: list[ExecutionEvent] = []
        self.said: list[ExecutionCommand] = []
        self.open: dict[str, PipelineStepScheduled] = {}

    def tell(self, command: object, *, active: bool = True) -> list[ExecutionEvent]:
        """Decide, evolve, and keep what is handed out."""
        known = facts(chance=self.chance.random(), pipeline=pinned(self.definition, active=active))
        events = list(EXECUTION.decide(command, self.state, known))  # type: ignore[arg-type]
        assert events == list(EXECUTION.decide(command, self.state, known))  # type: ignore[arg-type]
        for event in events:
            self.state = EXECUTION.evolve(self.state, event)
            if isinstance(event, PipelineStepScheduled):
                self.open[event.step_id] = event
            elif isinstance(event, PipelineStepCompleted | PipelineStepFailed):
                self.open.pop(event.step_id)
            elif isinstance(event, PipelineStepSkipped):
                self.open.pop(event.step_id, None)
        self.history += events
        return events

    def answer(self, *, worst: bool) -> ExecutionCommand:
        """Something that may happen to one of the steps that are out, or to the run."""
        if worst and self.chance.random() < 0.02:
            return self.chance.choice([CancelExecution(ID, "enough"), ExpireExecution(ID)])
        out = self.chance.choice(sorted(self.open.values(), key=lambda event: event.step_id))
        kinds = ["complete", "fail", "refail", "redeliver", "skip"] if worst else ["complete"]
        kind = self.chance.choice(kinds)
        if kind == "redeliver":
            return RedeliverStep(ID, out.step_id, out.attempt, out.delivery)
        if kind == "skip":
            return SkipStep(ID, out.step_id, out.attempt)
        if kind == "complete":
            return complete(out.step_id, out.attempt)
        return fail(out.step_id, out.attempt, retryable=kind == "fail")

    def again(self, command: ExecutionCommand) -> list[ExecutionEvent]:
        """What the same command does when it comes a second time; a cancellation may be refused."""
        try:
            return self.tell(command)
        except Refused:
            assert isinstance(command, CancelExecution)
            return []

    def drive(self, *, worst: bool) -> None:
        """To the end; every state but the last has something out, so that a run never hangs."""
        self.tell(replace(EXECUTE, deadline_s=60.0))
        for _ in range(8 * 3 * MAX_DELIVERIES):
            if isinstance(self.state, Ended):
                return
            assert self.open, "nothing is out and the run goes on: it would hang for ever"
            command = self.answer(worst=worst)
            assert self.tell(command), f"{command} is no news"
            self.said.append(command)
            if worst:
                assert self.again(self.chance.choice(self.said)) == [], "said twice, done twice"
        assert isinstance(self.state, Ended), "more answers than the steps have attempts"


RUNS = st.builds(Run, graphs(), st.builds(random.Random, st.integers(0, 2**32)))


@for_all(RUNS)
@settings(max_examples=150, deadline=None)
def test_a_run_whose_steps_all_succeed_runs_each_once_and_completes(run: Run) -> None:
    run.drive(worst=False)
    scheduled = [e.step_id for e in run.history if isinstance(e, PipelineStepScheduled)]
    assert sorted(scheduled) == sorted(step.id for step in run.definition.steps)
    assert isinstance(run.history[-1], ExecutionCompleted)


@for_all(RUNS)
@settings(max_examples=300, deadline=None)
def test_a_run_ends_whatever_happens_and_exactly_once(run: Run) -> None:
    run.drive(worst=True)
    kinds = ExecutionCompleted | ExecutionFailed | ExecutionCancelled
    ends = [e for e in run.history if isinstance(e, kinds)]
    assert ends == run.history[-1:]
    for command in run.said:
        assert run.again(command) == [], "an answer after the end changed something"


@for_all(RUNS)
@settings(max_examples=300, deadline=None)
def test_no_step_is_scheduled_before_its_needs_or_twice(run: Run) -> None:
    run.drive(worst=True)
    steps = {step.id: step for step in run.definition.steps}
    done: set[str] = set()
    over: set[str] = set()
    seen: set[tuple[str, int, int]] = set()
    for event in run.history:
        if isinstance(event, PipelineStepCompleted):
            assert event.step_id not in over
            done.add(event.step_id)
            over.add(event.step_id)
        elif isinstance(event, PipelineStepSkipped):
            assert event.step_id not in over
            over.add(event.step_id)
        elif isinstance(event, PipelineStepFailed) and event.retry_at is None:
            over.add(event.step_id)
        elif isinstance(event, PipelineStepScheduled):
            place = (event.step_id, event.attempt, event.delivery)
            needed = steps[event.step_id]
            assert set(needed.needs) <= (done if needed.when is None else over)
            assert place not in seen
            assert event.delivery <= MAX_DELIVERIES
            first = event.attempt == event.delivery == 1
            before = (event.step_id, event.attempt, event.delivery - 1)
            assert first or event.delivery == 1 or before in seen
            seen.add(place)


@for_all(RUNS)
@settings(max_examples=100, deadline=None)
def test_attempts_count_up_to_what_the_retry_allows(run: Run) -> None:
    run.drive(worst=True)
    allowed = {step.id: step.retry.attempts if step.retry else 1 for step in run.definition.steps}
    for name, most in allowed.items():
        failed = [e for e in run.history if isinstance(e, PipelineStepFailed) and e.step_id == name]
        assert [event.attempt for event in failed] == list(range(1, len(failed) + 1))
        assert len(failed) <= most
        assert all(event.retry_at is not None for event in failed[:-1])


@for_all(RUNS)
@settings(max_examples=100, deadline=None)
def test_the_state_is_the_fold_of_the_history(run: Run) -> None:
    run.drive(worst=True)
    assert EXECUTION.fold(run.history) == run.state
    half = len(run.history) // 2
    middle = EXECUTION.fold(run.history[:half])
    assert EXECUTION.fold(run.history[half:], middle) == run.state


@dataclass
class Counted(Mapping[str, StepState]):
    """Steps that count how often all of them are looked through, as whoever copies them does."""

    steps: Mapping[str, StepState]
    copies: int = 0

    def __getitem__(self, key: str) -> StepState:
        return self.steps[key]

    def __iter__(self) -> Iterator[str]:
        self.copies += 1
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


def test_ten_thousand_events_copy_the_steps_once_and_leave_the_state_that_was_given() -> None:
    names = [f"s{number}" for number in range(1_000)]
    steps = Counted({name: Pending() for name in names})
    before = Running(ID, "p1", 1, NOON, None, steps, "{}", ONE)
    history = [scheduled(name, attempt) for attempt in range(1, 11) for name in names]
    after = EXECUTION.fold(history, before)
    assert steps.copies == 1
    assert isinstance(after, Running)
    assert after.steps == {name: Scheduled(10, 1, NOON) for name in names}
    assert set(steps.steps.values()) == {Pending()}


@for_all(RUNS)
@settings(max_examples=100, deadline=None)
def test_evolve_never_refuses_whatever_the_order(run: Run) -> None:
    """Histories are facts: one that makes no sense is folded too."""
    run.drive(worst=True)
    shuffled = [*run.history, replace(run.history[0])]
    run.chance.shuffle(shuffled)
    assert isinstance(EXECUTION.fold(shuffled), Absent | Running | Ended)
