"""Execution: conditions, failures that are put up with, what is skipped, deadlines, cancelling."""

import math
from dataclasses import replace

import pytest

from domain.definition import OnError
from domain.execution.execution import EXECUTION
from domain.execution.messages import (
    CancelExecution,
    ExecutionCancelled,
    ExecutionFailed,
    ExpireExecution,
    PipelineStepSkipped,
    SkipStep,
)
from domain.execution.state import End, Ended
from tests.domain.given import NOON, after, facts, given
from tests.domain.runs import (
    EXECUTE,
    ID,
    complete,
    completed,
    ended,
    fail,
    failed,
    failed_run,
    running,
    scheduled,
    started,
)
from tests.domain.samples import CHAIN, ONE, TWICE, definition, pinned, step

SKIP = SkipStep(ID, "read", 1)
CANCEL = CancelExecution(ID, "wrong input")
CANCELLED = ExecutionCancelled(ID, "p1", NOON, None, "execution.cancelled", "wrong input")
DEADLINE = replace(EXECUTE, deadline_s=60.0)
PUT_UP_WITH = step("read", on_error=OnError.CONTINUE)


def skipped(step_id: str, reason: str = "needs") -> PipelineStepSkipped:
    return PipelineStepSkipped(ID, step_id, NOON, "p1", reason)


# ── conditions ───────────────────────────────────────────────────────────────────────────


def test_a_step_with_a_condition_is_scheduled_like_any_other() -> None:
    """The engine looks at the condition when the step is about to start, and says what it found."""
    conditional = definition(step("read", when="input.all"))
    decision = given(EXECUTION).when(EXECUTE, facts(pipeline=pinned(conditional)))
    decision.then(started(conditional), scheduled("read"))


def test_a_step_whose_condition_is_false_is_skipped_and_so_is_what_needs_it() -> None:
    run = running(CHAIN, scheduled("read")).when(SKIP)
    run.then(skipped("read", "condition"), skipped("dated"), skipped("store"), ended({}))


def test_a_step_with_a_condition_decides_itself_whether_it_can_do_without_its_needs() -> None:
    always = definition(step("read"), step("tell", "read", when="true"), step("after", "tell"))
    run = running(always, scheduled("read")).when(SKIP)
    run.then(skipped("read", "condition"), scheduled("tell"))
    history = (scheduled("read"), skipped("read", "condition"), scheduled("tell"))
    running(always, *history).when(complete("tell")).then(completed("tell"), scheduled("after"))


def test_other_branches_go_on_beside_what_is_skipped() -> None:
    split = definition(step("read"), step("a", "read"), step("other"))
    run = running(split, scheduled("read"), scheduled("other")).when(SKIP)
    run.then(skipped("read", "condition"), skipped("a"))
    history = (scheduled("read"), scheduled("other"), skipped("read"), skipped("a"))
    running(split, *history).when(complete("other")).then(completed("other"), ended({"other": {}}))


def test_a_step_is_skipped_once_however_its_needs_are_written() -> None:
    """Written last first, a chain is still walked through from its beginning."""
    names = [f"s{number}" for number in range(1_000)]
    chain = [step(name, *names[n - 1 : n]) for n, name in enumerate(names) if n]
    long = definition(*reversed(chain), step("s0"))
    *rest, end = running(long, scheduled("s0")).when(SkipStep(ID, "s0", 1)).events
    assert [event.step_id for event in rest] == names
    assert end == ended({})


def test_a_skip_for_an_attempt_that_is_over_changes_nothing() -> None:
    running(CHAIN, scheduled("read"), completed("read")).when(SKIP).then_nothing()
    running(ONE, scheduled("read"), failed_run("read")).when(SKIP).then_nothing()


# ── on_error: continue ───────────────────────────────────────────────────────────────────


def test_a_failure_that_is_put_up_with_does_not_end_the_run() -> None:
    going_on = definition(PUT_UP_WITH, step("store", "read"), step("other"))
    run = running(going_on, scheduled("read"), scheduled("other")).when(fail("read"))
    run.then(failed("read"), skipped("store"))


def test_a_run_whose_last_step_failed_that_way_is_completed() -> None:
    run = running(definition(PUT_UP_WITH), scheduled("read")).when(fail("read"))
    run.then(failed("read"), ended({}))


def test_a_step_with_a_condition_may_clean_up_after_a_failure() -> None:
    tidy = definition(PUT_UP_WITH, step("tidy", "read", when="steps.read.status == 'failed'"))
    run = running(tidy, scheduled("read")).when(fail("read"))
    run.then(failed("read"), scheduled("tidy"))


def test_attempts_come_before_putting_up_with_it() -> None:
    again = definition(step("read", retry=TWICE, on_error=OnError.CONTINUE))
    run = running(again, scheduled("read"))
    run.when(fail("read")).then(failed("read", retry_s=10), scheduled("read", 2, due_s=10))


# ── deadline ─────────────────────────────────────────────────────────────────────────────


def test_the_deadline_counts_from_the_start() -> None:
    first, _ = given(EXECUTION).when(DEADLINE, facts(pipeline=pinned(ONE))).events
    assert first == replace(started(ONE), deadline_at=after(60))


@pytest.mark.parametrize("deadline_s", [0.0, -1.0, math.nan, math.inf, 1e9])
def test_a_deadline_lies_ahead_and_within_a_year(deadline_s: float) -> None:
    asked = replace(EXECUTE, deadline_s=deadline_s)
    decision = given(EXECUTION).when(asked, facts(pipeline=pinned(ONE)))
    decision.then_refused("execution.invalid_deadline")


def test_a_run_that_is_not_done_at_its_deadline_fails() -> None:
    run = given(EXECUTION, replace(started(ONE), deadline_at=after(60)), scheduled("read"))
    run.when(ExpireExecution(ID), facts(at=after(60.1))).then(
        ExecutionFailed(
            ID,
            "p1",
            after(60.1),
            None,
            "execution.deadline_exceeded",
            "the run was not done within 60 s",
        )
    )


def test_a_deadline_that_comes_after_the_end_changes_nothing() -> None:
    running(ONE, failed_run("read")).when(ExpireExecution(ID)).then_nothing()
    running(ONE).when(ExpireExecution(ID)).then_nothing()


# ── cancelling ───────────────────────────────────────────────────────────────────────────


def test_a_run_is_cancelled_at_once() -> None:
    run = running(ONE, scheduled("read"))
    run.when(CANCEL).then(CANCELLED)
    assert running(ONE, CANCELLED).state == Ended(ID, End.CANCELLED)


def test_without_a_reason_it_is_told_who_cancelled() -> None:
    (event,) = running(ONE).when(CancelExecution(ID, "")).events
    assert event.error_message == "cancelled by ada"


def test_cancelling_a_cancelled_run_changes_nothing() -> None:
    running(ONE, CANCELLED).when(CANCEL).then_nothing()


@pytest.mark.parametrize(("end", "how"), [(ended({}), "succeeded"), (failed_run("read"), "failed")])
def test_a_run_that_has_ended_cannot_be_cancelled(end: object, how: str) -> None:
    error = running(ONE, end).when(CANCEL).then_refused("execution.ended")
    assert error.message == (f"execution '{ID}' has {how}; only one that goes on can be cancelled")


def test_what_is_not_there_cannot_be_cancelled() -> None:
    given(EXECUTION).when(CANCEL).then_refused("execution.not_found")


@pytest.mark.parametrize("answer", [complete("read"), fail("read"), SKIP])
def test_answers_after_the_cancellation_change_nothing(answer: object) -> None:
    running(ONE, scheduled("read"), CANCELLED).when(answer).then_nothing()
