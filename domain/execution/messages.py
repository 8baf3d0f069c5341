"""What is said about an execution: the events of its history and the commands that cause them."""

from dataclasses import dataclass
from datetime import datetime

from domain.definition import Definition
from domain.quick_init import quick_init

# ── events ───────────────────────────────────────────────────────────────────────────────


@quick_init
@dataclass(frozen=True, slots=True)
class ExecutionStarted:
    execution_id: str
    pipeline_id: str
    revision: int
    hash: str
    by: str
    at: datetime
    deadline_at: datetime | None
    input_json: str
    definition: Definition
    scheduled_for: datetime | None = None


@quick_init
@dataclass(frozen=True, slots=True)
class PipelineStepScheduled:
    """The step may run from `due_at` on; `delivery` counts hand-overs of the same attempt."""

    execution_id: str
    step_id: str
    attempt: int
    delivery: int
    due_at: datetime
    at: datetime
    pipeline_id: str


@quick_init
@dataclass(frozen=True, slots=True)
class PipelineStepCompleted:
    execution_id: str
    step_id: str
    attempt: int
    duration_s: float
    at: datetime
    pipeline_id: str
    output_json: str


@quick_init
@dataclass(frozen=True, slots=True)
class PipelineStepFailed:
    """`retry_at` is when the next attempt is due, `None` where this was the last one."""

    execution_id: str
    step_id: str
    attempt: int
    retry_at: datetime | None
    at: datetime
    error_code: str
    pipeline_id: str
    error_message: str


@quick_init
@dataclass(frozen=True, slots=True)
class PipelineStepSkipped:
    """`reason` is `condition` where its `when` is false, `needs` where a need has no output for it."""

    execution_id: str
    step_id: str
    at: datetime
    pipeline_id: str
    reason: str


@quick_init
@dataclass(frozen=True, slots=True)
class ExecutionCompleted:
    execution_id: str
    pipeline_id: str
    at: datetime
    output_json: str


@quick_init
@dataclass(frozen=True, slots=True)
class ExecutionFailed:
    execution_id: str
    pipeline_id: str
    at: datetime
    step_id: str | None
    error_code: str
    error_message: str


@quick_init
@dataclass(frozen=True, slots=True)
class ExecutionCancelled:
    execution_id: str
    pipeline_id: str
    at: datetime
    step_id: str | None
    error_code: str
    error_message: str


ExecutionEvent = (
    ExecutionStarted
    | PipelineStepScheduled
    | PipelineStepCompleted
    | PipelineStepFailed
    | PipelineStepSkipped
    | ExecutionCompleted
    | ExecutionFailed
    | ExecutionCancelled
)


# ── commands; the engine gives the internal ones, no door does ───────────────────────────


@quick_init
@dataclass(frozen=True, slots=True)
class ExecutePipeline:
    """`scheduled_for` is the time of the pipeline's schedule that asks for the run."""

    execution_id: str
    pipeline_id: str
    deadline_s: float | None
    priority: int
    input_json: str
    scheduled_for: datetime | None = None


@quick_init
@dataclass(frozen=True, slots=True)
class CancelExecution:
    """Steps that run are asked to end, and ended where they do not; what they did stays done."""

    execution_id: str
    reason: str


@quick_init
@dataclass(frozen=True, slots=True)
class CompleteStep:
    execution_id: str
    step_id: str
    attempt: int
    duration_s: float
    output_json: str


@quick_init
@dataclass(frozen=True, slots=True)
class FailStep:
    execution_id: str
    step_id: str
    attempt: int
    error_code: str
    error_message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class RedeliverStep:
    """The worker that held `delivery` of this attempt is gone; hand the step over again."""

    execution_id: str
    step_id: str
    attempt: int
    delivery: int


@dataclass(frozen=True, slots=True)
class SkipStep:
    """The step's own condition is false."""

    execution_id: str
    step_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ExpireExecution:
    """The run's deadline is over."""

    execution_id: str


StepAnswer = CompleteStep | FailStep | RedeliverStep | SkipStep
InternalCommand = StepAnswer | ExpireExecution
ExecutionCommand = ExecutePipeline | CancelExecution | InternalCommand
