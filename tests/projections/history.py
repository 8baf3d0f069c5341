"""Events for the tests of the read side: short histories of pipelines and executions."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.definition import Definition, OnError, Retry, Step
from domain.execution.messages import (
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    PipelineStepCompleted,
    PipelineStepFailed,
    PipelineStepScheduled,
)
from domain.pipeline.pipeline import PipelineActivated, PipelineCreated, PipelineRevised
from projections.projection import Meta, Projection

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def step(step_id: str, *needs: str, **changed: Any) -> Step:
    """A step with defaults."""
    parts: dict[str, Any] = {
        "uses": "flexcore.csv_read",
        "on_error": OnError.FAIL,
        "timeout_s": None,
        "retry": None,
        "when": None,
        "with_json": "{}",
    }
    return Step(id=step_id, needs=needs, **{**parts, **changed})


RETRY = Retry(attempts=3, initial_s=0.5, factor=2.0, max_s=30.0, jitter=True)
DEFINITION = Definition(
    (
        step("read", with_json='{"path": "a.csv"}'),
        step("store", "read", retry=RETRY, timeout_s=60.0),
    )
)


def pipeline(pipeline_id: str) -> list[Any]:
    """Created, activated, revised."""
    told = {"pipeline_id": pipeline_id, "by": "ann"}
    content = {**told, "hash": "abc", "description": "", "definition": DEFINITION}
    return [
        PipelineCreated(**content, revision=1, name="Weather", at=at(0)),
        PipelineActivated(**told, at=at(1), reason="go"),
        PipelineRevised(**content, revision=2, name="Weather by month", at=at(2)),
    ]


def started(execution_id: str, input_json: str = '{"year": 2012}') -> ExecutionStarted:
    """The first event of a run."""
    return ExecutionStarted(
        execution_id=execution_id,
        pipeline_id="weather",
        revision=2,
        hash="abc",
        by="ann",
        at=at(10),
        deadline_at=None,
        input_json=input_json,
        definition=DEFINITION,
    )


def scheduled(
    execution_id: str, step_id: str, seconds: float, attempt: int = 1, delivery: int = 1
) -> PipelineStepScheduled:
    """Due at once."""
    return PipelineStepScheduled(
        execution_id, step_id, attempt, delivery, at(seconds), at(seconds), "weather"
    )


def completed(
    execution_id: str, step_id: str, seconds: float, output_json: str = '{"rows": 3}'
) -> PipelineStepCompleted:
    """After half a second's work, in its last attempt."""
    return PipelineStepCompleted(execution_id, step_id, 1, 0.5, at(seconds), "weather", output_json)


def failed(execution_id: str, step_id: str, seconds: float, attempt: int = 1) -> PipelineStepFailed:
    """Not to be tried again."""
    return PipelineStepFailed(
        execution_id, step_id, attempt, None, at(seconds), "step.failed", "weather", "no such file"
    )


def succeeded_run(execution_id: str) -> list[Any]:
    """A run whose two steps succeed."""
    return [
        started(execution_id),
        scheduled(execution_id, "read", 10),
        completed(execution_id, "read", 10.5),
        scheduled(execution_id, "store", 10.5),
        completed(execution_id, "store", 11, '{"table": "monthly"}'),
        ExecutionCompleted(execution_id, "weather", at(11), '{"store": {"table": "monthly"}}'),
    ]


def failed_run(execution_id: str) -> list[Any]:
    """A run whose first step fails."""
    return [
        started(execution_id),
        scheduled(execution_id, "read", 10),
        failed(execution_id, "read", 12),
        ExecutionFailed(execution_id, "weather", at(12), "read", "step.failed", "no such file"),
    ]


def folded(projection: Projection, aggregate_id: str, events: Sequence[Any]) -> Any:
    """The row after a history, by the pure fold alone."""
    row = None
    for version, event in enumerate(events, start=1):
        row = projection.fold(row, event, Meta(aggregate_id, version))
    return row
