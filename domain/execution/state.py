"""What an execution's events amount to: the run with its steps, or that it is over.

a step:  Pending → Scheduled ⟲ (retry, redelivery) → Succeeded | Failed | Skipped
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import assert_never

from domain.definition import Definition
from domain.execution.messages import (
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionStarted,
    PipelineStepCompleted,
    PipelineStepFailed,
    PipelineStepScheduled,
    PipelineStepSkipped,
)


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


@dataclass(frozen=True, slots=True)
class Skipped:
    """Was not to run, and has no output."""

    reason: str


StepState = Pending | Scheduled | Succeeded | Failed | Skipped


@dataclass(frozen=True, slots=True)
class Absent:
    """No such execution yet."""


@dataclass(frozen=True, slots=True)
class Running:
    execution_id: str
    pipeline_id: str
    revision: int
    started_at: datetime
    deadline_at: datetime | None
    steps: Mapping[str, StepState]
    input_json: str
    definition: Definition
    scheduled_for: datetime | None = None


class End(Enum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing follows."""

    execution_id: str
    how: End


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
                state = _running(event, own)
            case (
                PipelineStepScheduled()
                | PipelineStepCompleted()
                | PipelineStepFailed()
                | PipelineStepSkipped()
            ):
                if isinstance(state, Running):
                    if state.steps is not own:
                        own = dict(state.steps)
                        state = replace(state, steps=own)
                    # Nobody else has seen this map yet.
                    own[event.step_id] = _step_after(event)
            case ExecutionCompleted():
                state = Ended(event.execution_id, End.SUCCEEDED)
            case ExecutionFailed():
                state = Ended(event.execution_id, End.FAILED)
            case ExecutionCancelled():
                state = Ended(event.execution_id, End.CANCELLED)
            case _:
                assert_never(event)
    return state


def _running(event: ExecutionStarted, steps: Mapping[str, StepState]) -> Running:
    return Running(
        execution_id=event.execution_id,
        pipeline_id=event.pipeline_id,
        revision=event.revision,
        started_at=event.at,
        deadline_at=event.deadline_at,
        steps=steps,
        input_json=event.input_json,
        definition=event.definition,
        scheduled_for=event.scheduled_for,
    )


def _step_after(
    event: PipelineStepScheduled | PipelineStepCompleted | PipelineStepFailed | PipelineStepSkipped,
) -> StepState:
    match event:
        case PipelineStepScheduled():
            return Scheduled(event.attempt, event.delivery, event.due_at)
        case PipelineStepCompleted():
            return Succeeded(event.output_json)
        case PipelineStepFailed():
            return Failed(event.error_code)
        case PipelineStepSkipped():
            return Skipped(event.reason)
