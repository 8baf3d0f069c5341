"""Execution: retries, workers that die, answers that come late."""

from dataclasses import replace

import pytest

from domain.definition import Retry
from domain.execution.execution import EXECUTION, MAX_DELIVERIES
from domain.execution.messages import RedeliverStep
from domain.execution.state import End, Ended, Running
from tests.domain.given import after, facts, given
from tests.domain.runs import (
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
from tests.domain.samples import CHAIN, ONE, TWICE, definition, step

# ── failure and retry ────────────────────────────────────────────────────────────────────


def test_a_step_without_retry_fails_its_run() -> None:
    run = running(ONE, scheduled("read"))
    run.when(fail("read")).then(failed("read"), failed_run("read"))


def test_a_failed_attempt_is_repeated_after_its_delay() -> None:
    again = definition(step("read", retry=TWICE))
    run = running(again, scheduled("read"))
    run.when(fail("read")).then(failed("read", retry_s=10), scheduled("read", 2, due_s=10))


def test_the_last_attempt_fails_the_run() -> None:
    again = definition(step("read", retry=TWICE))
    history = (scheduled("read"), failed("read", retry_s=10), scheduled("read", 2, due_s=10))
    run = running(again, *history)
    run.when(fail("read", 2)).then(failed("read", 2), failed_run("read"))


def test_an_error_that_would_come_again_is_not_retried() -> None:
    run = running(definition(step("read", retry=TWICE)), scheduled("read"))
    run.when(fail("read", retryable=False)).then(failed("read"), failed_run("read"))


def test_one_attempt_means_no_retry() -> None:
    run = running(definition(step("read", retry=replace(TWICE, attempts=1))), scheduled("read"))
    run.when(fail("read")).then(failed("read"), failed_run("read"))


def test_the_delay_grows_with_the_attempts_and_starts_at_the_failure() -> None:
    many = definition(step("read", retry=replace(TWICE, attempts=9)))
    run = running(many, scheduled("read", 3))
    later = facts(at=after(100))
    _, again = run.when(fail("read", 3), later).events
    assert (again.attempt, again.due_at) == (4, after(140))


@pytest.mark.parametrize(("chance", "delay_s"), [(0.0, 5.0), (0.5, 7.5)])
def test_jitter_comes_from_the_facts(chance: float, delay_s: float) -> None:
    jittered = Retry(attempts=2, initial_s=10.0, factor=2.0, max_s=60.0, jitter=True)
    run = running(definition(step("read", retry=jittered)), scheduled("read"))
    decision = run.when(fail("read"), facts(chance=chance))
    decision.then(failed("read", retry_s=delay_s), scheduled("read", 2, due_s=delay_s))


def test_a_retried_step_goes_on_as_if_nothing_had_been() -> None:
    chain = definition(step("read", retry=TWICE), step("store", "read"))
    history = (scheduled("read"), failed("read", retry_s=10), scheduled("read", 2, due_s=10))
    run = running(chain, *history).when(complete("read", 2))
    run.then(completed("read", 2), scheduled("store"))


# ── redelivery ───────────────────────────────────────────────────────────────────────────


def test_a_step_whose_worker_died_is_handed_over_again() -> None:
    run = running(ONE, scheduled("read"))
    later = facts(at=after(30))
    again = run.when(RedeliverStep(ID, "read", 1, 1), later)
    again.then(scheduled("read", 1, 2, due_s=30, at_s=30))


def test_a_step_that_was_not_due_yet_keeps_its_time() -> None:
    run = running(ONE, scheduled("read", 1, 1, due_s=60))
    again = run.when(RedeliverStep(ID, "read", 1, 1), facts(at=after(30)))
    again.then(scheduled("read", 1, 2, due_s=60, at_s=30))


def test_a_delivery_is_repeated_once() -> None:
    run = running(ONE, scheduled("read"), scheduled("read", 1, 2))
    run.when(RedeliverStep(ID, "read", 1, 1)).then_nothing()


def test_a_step_that_no_worker_survives_is_lost_and_not_retried() -> None:
    again = definition(step("read", retry=TWICE))
    run = running(again, scheduled("read", 1, MAX_DELIVERIES))
    lost, end = run.when(RedeliverStep(ID, "read", 1, MAX_DELIVERIES)).events
    assert (lost.error_code, lost.retry_at) == ("step.lost", None)
    assert (end.error_code, end.step_id) == ("step.lost", "read")
    assert lost.error_message == "handed to 5 workers, none of which answered"


def test_a_new_attempt_counts_its_deliveries_from_one() -> None:
    run = running(definition(step("read", retry=TWICE)), scheduled("read", 1, 4))
    _, again = run.when(fail("read")).events
    assert (again.attempt, again.delivery) == (2, 1)


# ── late answers ─────────────────────────────────────────────────────────────────────────

ANSWERS = [complete("read"), fail("read"), RedeliverStep(ID, "read", 1, 1)]


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_after_the_end_changes_nothing(answer: object) -> None:
    over = running(ONE, scheduled("read"), completed("read"), ended({"read": {}}))
    over.when(answer).then_nothing()
    broken = running(ONE, scheduled("read"), failed("read"), failed_run("read"))
    broken.when(answer).then_nothing()


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_second_answer_to_the_same_attempt_changes_nothing(answer: object) -> None:
    running(CHAIN, scheduled("read"), completed("read")).when(answer).then_nothing()


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_to_an_attempt_that_is_over_changes_nothing(answer: object) -> None:
    history = (scheduled("read"), failed("read", retry_s=10), scheduled("read", 2, due_s=10))
    running(definition(step("read", retry=TWICE)), *history).when(answer).then_nothing()


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_from_an_earlier_delivery_of_the_attempt_counts(answer: object) -> None:
    """The work was done, whoever did it; only its redelivery is over."""
    decision = running(ONE, scheduled("read"), scheduled("read", 1, 2)).when(answer)
    assert bool(decision.events) == (not isinstance(answer, RedeliverStep))


@pytest.mark.parametrize("answer", [complete("store"), complete("nowhere"), fail("store")])
def test_an_answer_for_what_was_never_handed_out_changes_nothing(answer: object) -> None:
    running(CHAIN, scheduled("read")).when(answer).then_nothing()


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_to_no_execution_is_not_found(answer: object) -> None:
    given(EXECUTION).when(answer).then_refused("execution.not_found")


# ── state ────────────────────────────────────────────────────────────────────────────────


def test_an_ended_run_holds_nothing_but_its_id_and_how_it_ended() -> None:
    assert running(ONE, failed_run("read")).state == Ended(ID, End.FAILED)


def test_a_step_of_a_run_that_is_not_there_is_passed_over() -> None:
    """A pruned log must not stop whoever reads it."""
    assert given(EXECUTION, scheduled("read")).state == EXECUTION.initial
    assert given(EXECUTION, scheduled("read"), started(ONE)).state == running(ONE).state
    assert isinstance(running(ONE).state, Running)
