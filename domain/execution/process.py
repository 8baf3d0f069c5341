"""The process manager: what follows from a run's state. Pure; the lane writes what it says.

first events ──► steps that cannot run are skipped ──► steps that can are scheduled, or the run ends
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.definition import MAX_JSON_BYTES, Step
from domain.execution.messages import (
    ExecutionCompleted,
    ExecutionEvent,
    PipelineStepScheduled,
    PipelineStepSkipped,
)
from domain.execution.state import (
    Failed,
    Pending,
    Running,
    Skipped,
    State,
    StepState,
    Succeeded,
    evolve_all,
)

_OVER = Succeeded | Failed | Skipped


def follow(state: State, first: Sequence[ExecutionEvent], at: datetime) -> Sequence[ExecutionEvent]:
    """`first` and what it makes due: steps to skip and to schedule, or the end of the run."""
    after = evolve_all(state, first)
    assert isinstance(after, Running)
    due, skipped = what_is_due(after)
    events = [
        *first,
        *(
            PipelineStepSkipped(after.execution_id, step_id, at, after.pipeline_id, skip.reason)
            for step_id, skip in skipped.items()
        ),
    ]
    if due:
        return [*events, *(scheduled(after, step_id, 1, 1, at, at) for step_id in due)]
    if not any(_goes_on(step) for s, step in after.steps.items() if s not in skipped):
        return [*events, _completed(after, at)]
    return events


def _goes_on(step: StepState) -> bool:
    return not isinstance(step, _OVER)


def what_is_due(state: State) -> tuple[Sequence[str], Mapping[str, Skipped]]:
    """The pending steps whose needs are all over: those to schedule, and those to skip.

    A step runs where all its needs have succeeded. Where one has not, a step with a condition runs
    too, for the condition may ask what became of its needs; any other has nothing to work on.
    """
    if not isinstance(state, Running):
        return (), {}
    due: set[str] = set()
    skipped: dict[str, Skipped] = {}
    for step in state.definition.in_order:
        if not isinstance(state.steps[step.id], Pending):
            continue
        needs = [skipped.get(need, state.steps[need]) for need in step.needs]
        if any(_goes_on(need) for need in needs):
            continue
        if _can_run(step, needs):
            due.add(step.id)
        else:
            skipped[step.id] = Skipped("needs")
    return [step.id for step in state.definition.steps if step.id in due], skipped


def _can_run(step: Step, needs: Sequence[StepState]) -> bool:
    return step.when is not None or all(isinstance(need, Succeeded) for need in needs)


def scheduled(
    state: Running, step_id: str, attempt: int, delivery: int, due_at: datetime, at: datetime
) -> PipelineStepScheduled:
    """The step may run from `due_at` on."""
    return PipelineStepScheduled(
        execution_id=state.execution_id,
        step_id=step_id,
        attempt=attempt,
        delivery=delivery,
        due_at=due_at,
        at=at,
        pipeline_id=state.pipeline_id,
    )


def _completed(state: Running, at: datetime) -> ExecutionCompleted:
    return ExecutionCompleted(
        execution_id=state.execution_id,
        pipeline_id=state.pipeline_id,
        at=at,
        output_json=_output(state),
    )


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
