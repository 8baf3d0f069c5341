"""Execution: ExecutePipeline → Running → Succeeded; a step starts when its needs are done."""

import json
from dataclasses import replace

import pytest

from domain.definition import MAX_JSON_BYTES
from domain.execution.execution import EXECUTION
from domain.execution.process import what_is_due
from tests.domain.given import facts, given
from tests.domain.runs import (
    EXECUTE,
    ID,
    complete,
    completed,
    ended,
    running,
    scheduled,
    started,
)
from tests.domain.samples import DIAMOND, ONE, definition, pinned, step

# ── start ────────────────────────────────────────────────────────────────────────────────


def test_a_run_pins_the_revision_and_schedules_what_needs_nothing() -> None:
    decision = given(EXECUTION).when(EXECUTE, facts(pipeline=pinned(DIAMOND)))
    decision.then(started(DIAMOND), scheduled("read"))


def test_steps_without_needs_start_together_in_the_order_written() -> None:
    wide = definition(step("b"), step("a"), step("c", "a"))
    decision = given(EXECUTION).when(EXECUTE, facts(pipeline=pinned(wide)))
    decision.then(started(wide), scheduled("b"), scheduled("a"))


def test_a_run_is_started_once() -> None:
    again = running(ONE).when(EXECUTE, facts(pipeline=pinned(ONE)))
    again.then_refused("execution.already_exists")
    over = running(ONE, scheduled("read"), completed("read"), ended({"read": {}}))
    over.when(EXECUTE, facts(pipeline=pinned(ONE))).then_refused("execution.already_exists")


def test_a_run_needs_a_pipeline() -> None:
    error = given(EXECUTION).when(EXECUTE).then_refused("pipeline.not_found")
    assert error.message == "there is no pipeline 'p1'; create and activate it first"


def test_only_an_active_pipeline_is_executed() -> None:
    draft = facts(pipeline=pinned(ONE, active=False))
    error = given(EXECUTION).when(EXECUTE, draft).then_refused("pipeline.not_active")
    assert "activate it first" in error.message


def test_an_id_below_a_tenant_is_a_uuid_too() -> None:
    theirs = replace(EXECUTE, execution_id=f"acme~{ID}")
    decision = given(EXECUTION).when(theirs, facts(pipeline=pinned(ONE)))
    assert [event.execution_id for event in decision.events] == [f"acme~{ID}"] * 2


@pytest.mark.parametrize(
    "execution_id", ["", "run-1", ID.upper(), ID.replace("-", ""), "{" + ID + "}", ID + " ", "a~"]
)
def test_an_execution_id_is_a_uuid_in_its_one_form(execution_id: str) -> None:
    asked = replace(EXECUTE, execution_id=execution_id)
    given(EXECUTION).when(asked, facts(pipeline=pinned(ONE))).then_refused("execution.invalid_id")


@pytest.mark.parametrize("priority", [1, -1])
def test_what_this_release_does_not_keep_is_refused_not_ignored(priority: int) -> None:
    command = replace(EXECUTE, priority=priority)
    decision = given(EXECUTION).when(command, facts(pipeline=pinned(ONE)))
    decision.then_refused("execution.unsupported")


@pytest.mark.parametrize(
    ("input_json", "what"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ('{"a": NaN}', "is no JSON"),
        ("[" * 30_000, "nested deeper than 64 levels"),
        ('{"a": [1, {"b": 1, "b": 2}]}', "the key 'b' stands twice"),
        ('{"a": -1e400}', "out of range"),
        ("[]", "must be a JSON object"),
        ("1", "must be a JSON object"),
        ('{"a": [{"$blob": "x"}]}', "$blob"),
        ('{"a": "' + "é" * (MAX_JSON_BYTES // 2) + '"}', f"over {MAX_JSON_BYTES} bytes"),
    ],
)
def test_the_input_is_a_small_json_object_without_blobs(input_json: str, what: str) -> None:
    asked = replace(EXECUTE, input_json=input_json)
    decision = given(EXECUTION).when(asked, facts(pipeline=pinned(ONE)))
    assert what in decision.then_refused("execution.invalid_input").message


def test_a_bad_request_is_told_before_a_missing_pipeline() -> None:
    """The answer to bad words must not depend on how far another aggregate's events were read."""
    asked = replace(EXECUTE, input_json="[]")
    given(EXECUTION).when(asked).then_refused("execution.invalid_input")


# ── what becomes due ─────────────────────────────────────────────────────────────────────


def test_a_step_starts_when_its_own_needs_are_done() -> None:
    split = definition(step("a"), step("b"), step("after_a", "a"), step("after_b", "b"))
    run = running(split, scheduled("a"), scheduled("b"))
    run.when(complete("b")).then(completed("b"), scheduled("after_b"))


def test_what_two_steps_wait_for_starts_both() -> None:
    run = running(DIAMOND, scheduled("read"))
    run.when(complete("read")).then(completed("read"), scheduled("left"), scheduled("right"))


def test_a_step_with_two_needs_waits_for_the_second() -> None:
    split = (scheduled("read"), completed("read"), scheduled("left"), scheduled("right"))
    running(DIAMOND, *split).when(complete("right")).then(completed("right"))
    joined = running(DIAMOND, *split, completed("right")).when(complete("left"))
    joined.then(completed("left"), scheduled("joined"))


def test_the_run_is_completed_with_its_last_step() -> None:
    run = running(ONE, scheduled("read")).when(complete("read", output_json='{"rows": 3}'))
    run.then(completed("read", output_json='{"rows": 3}'), ended({"read": {"rows": 3}}))


def test_nothing_is_due_before_the_start_and_after_the_end() -> None:
    assert what_is_due(given(EXECUTION).state) == ((), {})
    over = running(ONE, scheduled("read"), completed("read"), ended({}))
    assert what_is_due(over.state) == ((), {})


# ── output ───────────────────────────────────────────────────────────────────────────────


def test_the_output_is_that_of_the_steps_nobody_needs() -> None:
    ends = definition(step("a"), step("b", "a"), step("c", "a"))
    history = (scheduled("a"), completed("a", output_json="1"), scheduled("b"), scheduled("c"))
    run = running(ends, *history, completed("b", output_json='[2, "zwei"]'))
    *_, last = run.when(complete("c", output_json="null")).events
    assert json.loads(last.output_json) == {"b": [2, "zwei"], "c": None}


def test_an_output_of_more_than_32_kib_names_the_steps_to_read() -> None:
    half = json.dumps("x" * (MAX_JSON_BYTES // 2))
    ends = definition(step("a"), step("b"))
    run = running(ends, scheduled("a"), scheduled("b"), completed("a", output_json=half))
    *_, last = run.when(complete("b", output_json=half)).events
    assert json.loads(last.output_json) == {"steps": ["a", "b"]}


@pytest.mark.parametrize("size", range(MAX_JSON_BYTES - 40, MAX_JSON_BYTES + 1))
def test_an_output_never_exceeds_its_limit(size: int) -> None:
    text = json.dumps("x" * (size - 2))
    *_, last = running(ONE, scheduled("read")).when(complete("read", output_json=text)).events
    assert len(last.output_json.encode()) <= MAX_JSON_BYTES
