"""A run of `p1` in few words: its events and the engine's answers, all at noon."""

import json

from domain.definition import Definition
from domain.execution.execution import EXECUTION
from domain.execution.messages import (
    CompleteStep,
    ExecutePipeline,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    FailStep,
    PipelineStepCompleted,
    PipelineStepFailed,
    PipelineStepScheduled,
)
from tests.domain.given import NOON, Given, after, given

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
EXECUTE = ExecutePipeline(ID, "p1", None, 0, "{}")


def started(of: Definition) -> ExecutionStarted:
    return ExecutionStarted(ID, "p1", 3, of.content_hash(), "ada", NOON, None, "{}", of)


def scheduled(
    step_id: str, attempt: int = 1, delivery: int = 1, due_s: float = 0, at_s: float = 0
) -> PipelineStepScheduled:
    return PipelineStepScheduled(ID, step_id, attempt, delivery, after(due_s), after(at_s), "p1")


def complete(step_id: str, attempt: int = 1, output_json: str = "{}") -> CompleteStep:
    return CompleteStep(ID, step_id, attempt, 0.25, output_json)


def completed(step_id: str, attempt: int = 1, output_json: str = "{}") -> PipelineStepCompleted:
    return PipelineStepCompleted(ID, step_id, attempt, 0.25, NOON, "p1", output_json)


def fail(step_id: str, attempt: int = 1, *, retryable: bool = True) -> FailStep:
    return FailStep(ID, step_id, attempt, "step.timeout", "took too long", retryable)


def failed(step_id: str, attempt: int = 1, retry_s: float | None = None) -> PipelineStepFailed:
    retry_at = None if retry_s is None else after(retry_s)
    return PipelineStepFailed(
        ID, step_id, attempt, retry_at, NOON, "step.timeout", "p1", "took too long"
    )


def failed_run(step_id: str) -> ExecutionFailed:
    return ExecutionFailed(ID, "p1", NOON, step_id, "step.timeout", "took too long")


def ended(output: object) -> ExecutionCompleted:
    return ExecutionCompleted(ID, "p1", NOON, json.dumps(output))


def running(of: Definition, *history: object) -> Given:
    return given(EXECUTION, started(of), *history)
