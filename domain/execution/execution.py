"""Execution: one run of one pinned pipeline revision.

ExecutePipeline → Running ──► Succeeded | Failed | Cancelled
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import assert_never

from domain.decider import Decider, Facts
from domain.definition import MAX_JSON_BYTES, OnError, Step, holds_blob_reference
from domain.errors import Invalid, NotFound, Refused
from domain.execution.messages import (
    CancelExecution,
    CompleteStep,
    ExecutePipeline,
    ExecutionCancelled,
    ExecutionCommand,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionStarted,
    ExpireExecution,
    FailStep,
    PipelineStepCompleted,
    PipelineStepFailed,
    PipelineStepSkipped,
    RedeliverStep,
    SkipStep,
    StepAnswer,
)
from domain.execution.process import follow, scheduled
from domain.execution.state import (
    Absent,
    End,
    Ended,
    Running,
    Scheduled,
    State,
    evolve,
    evolve_all,
)
from domain.json_text import parse_json

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

MAX_DELIVERIES = 5
"""A step whose worker died this often without an answer is given up as `step.lost`."""
MAX_DEADLINE_S = 366 * 86_400.0


def decide(command: ExecutionCommand, state: State, facts: Facts) -> Sequence[ExecutionEvent]:
    if isinstance(command, ExecutePipeline):
        return follow(state, (_start(command, state, facts),), facts.at)
    if isinstance(state, Absent):
        raise NotFound(
            "execution.not_found", f"there is no execution {command.execution_id!r}; start one"
        )
    match command:
        case CancelExecution():
            return _cancel(command, state, facts)
        case ExpireExecution():
            return _expire(state, facts)
        case CompleteStep() | FailStep() | RedeliverStep() | SkipStep():
            return _answered(command, state, facts)
        case _:
            assert_never(command)


def _start(command: ExecutePipeline, state: State, facts: Facts) -> ExecutionStarted:
    if not isinstance(state, Absent):
        raise Refused(
            "execution.already_exists",
            f"execution {command.execution_id!r} exists; use another id, or leave it out",
        )
    _check(command)
    pipeline = facts.pipeline
    if pipeline is None:
        raise NotFound(
            "pipeline.not_found",
            f"there is no pipeline {command.pipeline_id!r}; create and activate it first",
        )
    if not pipeline.active:
        raise Refused(
            "pipeline.not_active",
            f"pipeline {command.pipeline_id!r} is not active; "
            "only an active pipeline can be executed; activate it first",
        )
    return ExecutionStarted(
        execution_id=command.execution_id,
        pipeline_id=command.pipeline_id,
        revision=pipeline.revision,
        hash=pipeline.hash,
        by=facts.actor,
        at=facts.at,
        deadline_at=_deadline_at(command, facts.at),
        input_json=command.input_json,
        definition=pipeline.definition,
        scheduled_for=command.scheduled_for,
    )


def _deadline_at(command: ExecutePipeline, at: datetime) -> datetime | None:
    return None if command.deadline_s is None else at + timedelta(seconds=command.deadline_s)


def _check(command: ExecutePipeline) -> None:
    if not _UUID.fullmatch(command.execution_id.rpartition("~")[2]):
        raise Invalid(
            "execution.invalid_id",
            f"execution id {command.execution_id!r}; an execution id is a UUID in small letters",
        )
    if command.priority != 0:
        raise Invalid("execution.unsupported", "priority is not supported by this release")
    if command.deadline_s is not None and not 0 < command.deadline_s <= MAX_DEADLINE_S:
        raise Invalid(
            "execution.invalid_deadline",
            f"deadline_s is {command.deadline_s:g}; it must be over 0 and at most "
            f"{MAX_DEADLINE_S:.0f} seconds",
        )
    if len(command.input_json.encode()) > MAX_JSON_BYTES:
        raise Invalid("execution.invalid_input", f"the input is over {MAX_JSON_BYTES} bytes")
    try:
        value = parse_json(command.input_json)
    except ValueError as error:
        what = f"the input is no JSON that can be used: {error}"
        raise Invalid("execution.invalid_input", what) from None
    if not isinstance(value, dict):
        raise Invalid("execution.invalid_input", "the input must be a JSON object")
    if holds_blob_reference(value):
        raise Invalid(
            "execution.invalid_input",
            "the input holds a $blob reference, which only FlexCore itself may make",
        )


# ── the end from outside ─────────────────────────────────────────────────────────────────


def _cancel(
    command: CancelExecution, state: Running | Ended, facts: Facts
) -> Sequence[ExecutionEvent]:
    if isinstance(state, Ended):
        if state.how is End.CANCELLED:
            return ()
        raise Refused(
            "execution.ended",
            f"execution {command.execution_id!r} has {state.how.value}; "
            "only one that goes on can be cancelled",
        )
    return (
        ExecutionCancelled(
            execution_id=state.execution_id,
            pipeline_id=state.pipeline_id,
            at=facts.at,
            step_id=None,
            error_code="execution.cancelled",
            error_message=command.reason or f"cancelled by {facts.actor}",
        ),
    )


def _expire(state: Running | Ended, facts: Facts) -> Sequence[ExecutionEvent]:
    if isinstance(state, Ended) or state.deadline_at is None:
        return ()
    allowed_s = (state.deadline_at - state.started_at).total_seconds()
    return (
        ExecutionFailed(
            execution_id=state.execution_id,
            pipeline_id=state.pipeline_id,
            at=facts.at,
            step_id=None,
            error_code="execution.deadline_exceeded",
            error_message=f"the run was not done within {allowed_s:g} s",
        ),
    )


# ── answers of steps ─────────────────────────────────────────────────────────────────────


def _answered(
    command: StepAnswer, state: Running | Ended, facts: Facts
) -> Sequence[ExecutionEvent]:
    held = state.steps.get(command.step_id) if isinstance(state, Running) else None
    # An answer to an attempt that is over (or to a run that is) changes nothing: it came late.
    if not isinstance(held, Scheduled) or held.attempt != command.attempt:
        return ()
    assert isinstance(state, Running)
    match command:
        case CompleteStep():
            return follow(state, (_completed(command, state, facts),), facts.at)
        case FailStep():
            return _fail(command, state, facts)
        case RedeliverStep():
            return _redeliver(command, state, held, facts)
        case SkipStep():
            return follow(state, (_skipped(command, state, facts),), facts.at)
        case _:
            assert_never(command)


def _completed(command: CompleteStep, state: Running, facts: Facts) -> PipelineStepCompleted:
    return PipelineStepCompleted(
        execution_id=state.execution_id,
        step_id=command.step_id,
        attempt=command.attempt,
        duration_s=command.duration_s,
        at=facts.at,
        pipeline_id=state.pipeline_id,
        output_json=command.output_json,
    )


def _skipped(command: SkipStep, state: Running, facts: Facts) -> PipelineStepSkipped:
    return PipelineStepSkipped(
        execution_id=state.execution_id,
        step_id=command.step_id,
        at=facts.at,
        pipeline_id=state.pipeline_id,
        reason="condition",
    )


def _fail(command: FailStep, state: Running, facts: Facts) -> Sequence[ExecutionEvent]:
    step = _step(state, command.step_id)
    retry_at = None
    if command.retryable and step.retry is not None and command.attempt < step.retry.attempts:
        delay_s = step.retry.delay_s(command.attempt, facts.chance)
        retry_at = facts.at + timedelta(seconds=delay_s)
    failed = _failed(command, state, facts, retry_at)
    if retry_at is not None:
        again = scheduled(state, step.id, command.attempt + 1, 1, retry_at, facts.at)
        return (failed, again)
    if step.on_error is OnError.CONTINUE:
        return follow(state, (failed,), facts.at)
    return (failed, _failed_run(failed))


def _redeliver(
    command: RedeliverStep, state: Running, held: Scheduled, facts: Facts
) -> Sequence[ExecutionEvent]:
    if held.delivery != command.delivery:
        return ()
    if held.delivery >= MAX_DELIVERIES:
        lost = FailStep(
            execution_id=command.execution_id,
            step_id=command.step_id,
            attempt=command.attempt,
            error_code="step.lost",
            error_message=f"handed to {held.delivery} workers, none of which answered",
            retryable=False,
        )
        return _fail(lost, state, facts)
    due_at = max(held.due_at, facts.at)
    return (scheduled(state, command.step_id, held.attempt, held.delivery + 1, due_at, facts.at),)


def _failed(
    command: FailStep, state: Running, facts: Facts, retry_at: datetime | None
) -> PipelineStepFailed:
    return PipelineStepFailed(
        execution_id=state.execution_id,
        step_id=command.step_id,
        attempt=command.attempt,
        retry_at=retry_at,
        at=facts.at,
        error_code=command.error_code,
        pipeline_id=state.pipeline_id,
        error_message=command.error_message,
    )


def _failed_run(step: PipelineStepFailed) -> ExecutionFailed:
    return ExecutionFailed(
        execution_id=step.execution_id,
        pipeline_id=step.pipeline_id,
        at=step.at,
        step_id=step.step_id,
        error_code=step.error_code,
        error_message=step.error_message,
    )


def _step(state: Running, step_id: str) -> Step:
    return next(step for step in state.definition.steps if step.id == step_id)


EXECUTION: Decider[ExecutionCommand, ExecutionEvent, State] = Decider(
    Absent(), decide, evolve, evolve_all, state_version=2
)
