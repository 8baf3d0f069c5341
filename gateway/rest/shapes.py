"""The shapes as OpenAPI shows them; answers are built elsewhere (projections, json_shapes)."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.pipeline_file import PipelineFile
from gateway.strict import Int32, Strict


class Reason(Strict):
    """Why, for the history."""

    reason: str = Field(default="", max_length=10_000)


class Options(Strict):
    """How a run is to go: the seconds after which it fails where it has not ended; no priority yet."""

    deadline_s: float | None = None
    priority: Int32 = 0


class ExecutionIn(Strict):
    """A run to start; the same command without `execution_id` names the same run."""

    execution_id: str | None = None
    input: dict[str, Any] = Field(default_factory=dict)
    options: Options = Options()


class CommandIn(Strict):
    """Any command by name; `data` is its Avro body, JSON fields as JSON, the id may be left out."""

    type: str
    aggregate_id: str
    data: dict[str, Any] = Field(default_factory=dict)
    command_id: str | None = None
    expected_version: int | str | None = None


class ProblemDetail(BaseModel):
    """One thing that is wrong; `pointer` is a JSON pointer into the body."""

    detail: str
    pointer: str | None = None


class Problem(BaseModel):
    """RFC 9457; `code` is stable."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    trace_id: str
    errors: list[ProblemDetail]
    command_id: str | None = None


class Pipeline(PipelineFile):
    """A pipeline as it is; `next_run_at` is the next time of its schedule while it is active."""

    status: Literal["draft", "active", "paused", "archived"]
    revision: int
    hash: str
    version: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    next_run_at: datetime | None


class StepState(BaseModel):
    """A step of a run; times and duration are those of its last attempt."""

    step_id: str
    status: Literal[
        "pending",
        "scheduled",
        "waiting",
        "succeeded",
        "failed",
        "skipped",
        "compensated",
        "cancelled",
    ]
    attempt: int
    started_at: datetime | None
    ended_at: datetime | None
    duration_s: float | None
    output: Any
    error: dict[str, Any] | None


class Execution(BaseModel):
    """A run as it is; `scheduled_for` is the time of the schedule that started it, if one did."""

    execution_id: str
    pipeline_id: str
    revision: int
    status: Literal["running", "paused", "waiting", "succeeded", "failed", "cancelled"]
    input: Any
    output: Any
    error: dict[str, Any] | None
    steps: list[StepState]
    version: int
    started_at: datetime
    ended_at: datetime | None
    scheduled_for: datetime | None


class Outcome(BaseModel):
    """What became of a command."""

    command_id: str
    status: Literal["accepted", "refused", "unavailable", "unknown"]
    aggregate_id: str
    versions: list[int]
    position: str
    error: Problem | None = None


class Event(BaseModel):
    """An event where it stands in the log."""

    id: str
    type: str
    aggregate_id: str
    version: int
    time: datetime
    tenant_id: str
    actor_id: str
    command_id: str
    correlation_id: str
    causation_id: str
    position: str
    data: dict[str, Any] | None


class Total(BaseModel):
    """How many there are, or that there are more."""

    count: int
    capped: bool


class Pipelines(BaseModel):
    """A page, last changed first."""

    items: list[Pipeline]
    next_cursor: str | None
    total: Total


class Executions(BaseModel):
    """A page, last started first."""

    items: list[Execution]
    next_cursor: str | None
    total: Total


class Events(BaseModel):
    """Events in the order of their versions; `next_cursor` is the next `from_version`."""

    items: list[Event]
    next_cursor: str | None
    total: Total


class AllEvents(BaseModel):
    """A page of the events of all aggregates; `next_cursor` goes on behind it, now or later."""

    items: list[Event]
    next_cursor: str
    at_end: bool


class Table(BaseModel):
    """A table as far as one projector holds it."""

    name: str
    keys: int
    partitions: list[int]


class Tables(BaseModel):
    """The tables that there are."""

    tables: list[Table]


class TableRow(BaseModel):
    """A row; `position` is that of the last event in it."""

    key: str
    version: int
    position: str
    value: Any
