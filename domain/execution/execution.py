"""Execution: one run of one pinned pipeline revision.

ExecutePipeline → Running ──► Succeeded | Failed
a step:  Pending → Scheduled ⟲ (retry, redelivery) → Succeeded | Failed
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from domain.decider import Decider, Facts
from domain.definition import MAX_JSON_BYTES, Definition, Step, holds_blob_reference, parse_json
from domain.errors import Invalid, NotFound, Refused
from domain.execution.messages import (
    CompleteStep,
    ExecutePipeline,
    ExecutionCommand,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionStarted,
    FailStep,
    PipelineStepCompleted,
    PipelineStepFailed,
    PipelineStepScheduled,
    RedeliverStep,
)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

MAX_DELIVERIES = 5
"""A step whose worker died this often without an answer is given up as `step.lost`."""


# ── state ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Pending:
    """Waits for its needs."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    attempt: int
    delivery: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Succeeded:
    output_json: str


@dataclass(frozen=True, slots=True)
class Failed:
    error_code: str


StepState = Pending | Scheduled | Succeeded | Failed


@dataclass(frozen=True, slots=True)
class Absent:
    """No such execution yet."""


@dataclass(frozen=True, slots=True)
class Running:
    execution_id: str
    pipeline_id: str
    steps: Mapping[str, StepState]
    definition: Definition


@dataclass(frozen=True, slots=True)
class Ended:
    """Succeeded or failed; nothing follows."""

    execution_id: str


State = Absent | Running | Ended


def evolve(state: State, event: ExecutionEvent) -> State:
    return evolve_all(state, (event,))


def evolve_all(state: State, events: Iterable[ExecutionEvent]) -> State:
    """The steps of a state are copied once, however many events follow; given states stay as they are."""
    own: dict[str, StepState] = {}
    for event in events:
        match event:
            case ExecutionStarted():
                own = {step.id: Pending() for step in event.definition.steps}
                state = Running(event.execution_id, event.pipeline_id, own, event.definition)
            case PipelineStepScheduled() | PipelineStepCompleted() | PipelineStepFailed():
                if isinstance(state, Running):
                    if state.steps is not own:
                        own = dict(state.steps)
                        state = replace(state, steps=own)
                    # Nobody else has seen this map yet.
                    own[event.step_id] = _step_after(event)
            case ExecutionCompleted() | ExecutionFailed():
                state = Ended(event.execution_id)
            case _:
                assert_never(event)
    return state


def _step_after(
    event: PipelineStepScheduled | PipelineStepCompleted | PipelineStepFailed,
) -> StepState:
    match event:
        case PipelineStepScheduled():
            return Scheduled(event.attempt, event.delivery, event.due_at)
        case PipelineStepCompleted():
            return Succeeded(event.output_json)
        case PipelineStepFailed():
            return Failed(event.error_code)


# ── decide ───────────────────────────────────────────────────────────────────────────────


def decide(command: ExecutionCommand, state: State, facts: Facts) -> Sequence[ExecutionEvent]:
    if isinstance(command, ExecutePipeline):
        return _follow(state, _start(command, state, facts), facts)
    if isinstance(state, Absent):
        raise NotFound(
            "execution.not_found", f"there is no execution {command.execution_id!r}; start one"
        )
    held = state.steps.get(command.step_id) if isinstance(state, Running) else None
    # An answer to an attempt that is over (or to a run that is) changes nothing: it came late.
    if not isinstance(held, Scheduled) or held.attempt != command.attempt:
        return ()
    assert isinstance(state, Running)
    match command:
        case CompleteStep():
            completed = PipelineStepCompleted(
                execution_id=state.execution_id,
                step_id=command.step_id,
                attempt=command.attempt,
                duration_s=command.duration_s,
                at=facts.at,
                pipeline_id=state.pipeline_id,
                output_json=command.output_json,
            )
            return _follow(state, (completed,), facts)
        case FailStep():
            return _fail(command, state, facts)
        case RedeliverStep():
            if held.delivery != command.delivery:
                return ()
            return _redeliver(command, state, held, facts)
        case _:
            assert_never(command)


def _start(command: ExecutePipeline, state: State, facts: Facts) -> Sequence[ExecutionEvent]:
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
    return (
        ExecutionStarted(
            execution_id=command.execution_id,
            pipeline_id=command.pipeline_id,
            revision=pipeline.revision,
            hash=pipeline.hash,
            by=facts.actor,
            at=facts.at,
            deadline_at=None,
            input_json=command.input_json,
            definition=pipeline.definition,
        ),
    )


def _check(command: ExecutePipeline) -> None:
    if not _UUID.fullmatch(command.execution_id.rpartition("~")[2]):
        raise Invalid(
            "execution.invalid_id",
            f"execution id {command.execution_id!r}; an execution id is a UUID in small letters",
        )
    if command.deadline_s is not None or command.priority != 0:
        raise Invalid(
            "execution.unsupported", "deadline_s and priority are not supported by this release"
        )
    if len(command.input_json.encode()) > MAX_JSON_BYTES:
        raise Invalid("execution.invalid_input", f"the input is over {MAX_JSON_BYTES} bytes")
    try:
        value = parse_json(command.input_json)
    except ValueError:
        raise Invalid("execution.invalid_input", "the input is no JSON") from None
    if not isinstance(value, dict):
        raise Invalid("execution.invalid_input", "the input must be a JSON object")
    if holds_blob_reference(value):
        raise Invalid(
            "execution.invalid_input",
            "the input holds a $blob reference, which only FlexCore itself may make",
        )


def _fail(command: FailStep, state: Running, facts: Facts) -> Sequence[ExecutionEvent]:
    retry = _step(state, command.step_id).retry
    again = command.retryable and retry is not None and command.attempt < retry.attempts
    retry_at = None
    if again and retry is not None:
        retry_at = facts.at + timedelta(seconds=retry.delay_s(command.attempt, facts.chance))
    failed = _failed(command.step_id, command, state, facts, retry_at)
    if retry_at is None:
        return (failed, _failed_run(failed))
    return (failed, _scheduled(state, command.step_id, command.attempt + 1, 1, retry_at, facts.at))


def _redeliver(
    command: RedeliverStep, state: Running, held: Scheduled, facts: Facts
) -> Sequence[ExecutionEvent]:
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
    return (_scheduled(state, command.step_id, held.attempt, held.delivery + 1, due_at, facts.at),)


def _failed(
    step_id: str, command: FailStep, state: Running, facts: Facts, retry_at: datetime | None
) -> PipelineStepFailed:
    return PipelineStepFailed(
        execution_id=state.execution_id,
        step_id=step_id,
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


def _scheduled(
    state: Running, step_id: str, attempt: int, delivery: int, due_at: datetime, at: datetime
) -> PipelineStepScheduled:
    return PipelineStepScheduled(
        execution_id=state.execution_id,
        step_id=step_id,
        attempt=attempt,
        delivery=delivery,
        due_at=due_at,
        at=at,
        pipeline_id=state.pipeline_id,
    )


def _step(state: Running, step_id: str) -> Step:
    return next(step for step in state.definition.steps if step.id == step_id)


# ── process manager: what follows from a state ───────────────────────────────────────────


def due(state: State) -> Sequence[str]:
    """The pending steps whose own needs have all succeeded, in the order of the definition."""
    if not isinstance(state, Running):
        return ()
    return [
        step.id
        for step in state.definition.steps
        if isinstance(state.steps[step.id], Pending)
        and all(isinstance(state.steps[need], Succeeded) for need in step.needs)
    ]


def _follow(
    state: State, first: Sequence[ExecutionEvent], facts: Facts
) -> Sequence[ExecutionEvent]:
    """`first` and what it makes due: steps to schedule, or the end of the run."""
    after = EXECUTION.fold(first, state)
    assert isinstance(after, Running)
    scheduled = [_scheduled(after, step, 1, 1, facts.at, facts.at) for step in due(after)]
    if all(isinstance(step, Succeeded) for step in after.steps.values()):
        completed = ExecutionCompleted(
            execution_id=after.execution_id,
            pipeline_id=after.pipeline_id,
            at=facts.at,
            output_json=_output(after),
        )
        return (*first, completed)
    return (*first, *scheduled)


def _output(state: Running) -> str:
    """The outputs of the last steps by step id; where they are over 32 KiB, where to read them."""
    needed = {need for step in state.definition.steps for need in step.needs}
    last = [step.id for step in state.definition.steps if step.id not in needed]
    outputs = {
        step_id: step.output_json
        for step_id in last
        if isinstance(step := state.steps[step_id], Succeeded)
    }
    if sum(len(text.encode()) + len(step) + 8 for step, text in outputs.items()) > MAX_JSON_BYTES:
        return json.dumps({"steps": last})
    return "{" + ", ".join(f"{json.dumps(step)}: {text}" for step, text in outputs.items()) + "}"


EXECUTION: Decider[ExecutionCommand, ExecutionEvent, State] = Decider(
    Absent(), decide, evolve, evolve_all
)
