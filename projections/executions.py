"""Executions and their steps: one row per run, with attempts, durations and outputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, assert_never

from psycopg_pool import AsyncConnectionPool

from domain.contexts import CONTEXTS
from domain.errors import NotFound
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
from projections.page import Filters, Listing, Page, read_one, read_page
from projections.projection import Meta, Projection
from projections.values import (
    column_text,
    dumps,
    json_value,
    local_id,
    moment,
    tenant_of,
)

MAX_OUTPUTS_BYTES = 512 * 1024
"""Outputs of steps in one row, in all; each is 32 KiB at most, a changelog record 1 MiB."""
MAX_MESSAGE_CHARACTERS = 500
"""Of an error's message in a row; the whole text is in the event."""


@dataclass(frozen=True, slots=True)
class StepRow:
    """The public shape of a step; times and duration are those of its last attempt."""

    step_id: str
    status: str = "pending"
    attempt: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    output: Any = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    """The public shape of an execution."""

    execution_id: str
    pipeline_id: str
    revision: int
    status: str
    input: Any
    output: Any
    error: dict[str, Any] | None
    steps: tuple[StepRow, ...]
    version: int
    started_at: datetime
    ended_at: datetime | None
    scheduled_for: datetime | None = None


# ── fold ─────────────────────────────────────────────────────────────────────────────────


def fold(row: ExecutionRow | None, event: ExecutionEvent, meta: Meta) -> ExecutionRow | None:
    """The row after `event`; a version it has seen already changes nothing."""
    if row is not None and meta.version <= row.version:
        return row
    if isinstance(event, ExecutionStarted):
        return _started(event, meta)
    if row is None:
        return None
    row = replace(row, version=meta.version)
    match event:
        case PipelineStepScheduled():
            return _with(row, event.step_id, lambda step: _scheduled(step, event))
        case PipelineStepCompleted():
            room = MAX_OUTPUTS_BYTES - _output_bytes(row)
            return _with(row, event.step_id, lambda step: _completed(step, event, meta, room))
        case PipelineStepFailed():
            return _with(row, event.step_id, lambda step: _failed(step, event))
        case ExecutionCompleted():
            output = json_value(event.output_json)
            return replace(row, status="succeeded", output=output, ended_at=event.at)
        case PipelineStepSkipped():
            return _with(row, event.step_id, lambda step: _skipped(step, event))
        case ExecutionFailed():
            return _ended_early(row, "failed", event)
        case ExecutionCancelled():
            return _ended_early(row, "cancelled", event)
        case _:
            assert_never(event)


def _started(event: ExecutionStarted, meta: Meta) -> ExecutionRow:
    return ExecutionRow(
        execution_id=local_id(meta.aggregate_id),
        pipeline_id=local_id(event.pipeline_id),
        revision=event.revision,
        status="running",
        input=json_value(event.input_json),
        output=None,
        error=None,
        steps=tuple(StepRow(step.id) for step in event.definition.steps),
        version=meta.version,
        started_at=event.at,
        ended_at=None,
        scheduled_for=event.scheduled_for,
    )


def _with(row: ExecutionRow, step_id: str, change: Callable[[StepRow], StepRow]) -> ExecutionRow:
    steps = tuple(change(step) if step.step_id == step_id else step for step in row.steps)
    return replace(row, steps=steps)


def _scheduled(step: StepRow, event: PipelineStepScheduled) -> StepRow:
    # A redelivery goes on with the same attempt; only a new attempt starts anew. The error of
    # the attempt before stays in sight until one succeeds.
    same = step.attempt == event.attempt and step.started_at is not None
    return replace(
        step,
        status="scheduled",
        attempt=event.attempt,
        started_at=step.started_at if same else event.due_at,
        ended_at=None,
        duration_s=None,
    )


def _completed(step: StepRow, event: PipelineStepCompleted, meta: Meta, room: int) -> StepRow:
    size = len(event.output_json.encode())
    return replace(
        step,
        status="succeeded",
        attempt=event.attempt,
        ended_at=event.at,
        duration_s=event.duration_s,
        # What does not fit stays in its event, which this names.
        output=json_value(event.output_json)
        if size <= room
        else {"$event": meta.version, "bytes": size},
        error=None,
    )


def _failed(step: StepRow, event: PipelineStepFailed) -> StepRow:
    took = max(0.0, (event.at - step.started_at).total_seconds()) if step.started_at else None
    return replace(
        step,
        status="failed",
        attempt=event.attempt,
        ended_at=event.at,
        duration_s=took,
        error=_error(event.error_code, event.error_message),
    )


def _skipped(step: StepRow, event: PipelineStepSkipped) -> StepRow:
    return replace(step, status="skipped", ended_at=event.at)


def _ended_early(
    row: ExecutionRow, status: str, event: ExecutionFailed | ExecutionCancelled
) -> ExecutionRow:
    """What had not come to an end is cancelled with the run."""
    error = {**_error(event.error_code, event.error_message), "step_id": event.step_id}
    steps = tuple(
        _cancelled(step, event.at) if step.status in ("pending", "scheduled") else step
        for step in row.steps
    )
    return replace(row, status=status, error=error, steps=steps, ended_at=event.at)


def _cancelled(step: StepRow, at: datetime) -> StepRow:
    return replace(step, status="cancelled", ended_at=step.started_at and at)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message[:MAX_MESSAGE_CHARACTERS]}


def _output_bytes(row: ExecutionRow) -> int:
    return sum(len(dumps(step.output)) for step in row.steps if step.output is not None)


# ── storage ──────────────────────────────────────────────────────────────────────────────


def load(value: Mapping[str, Any]) -> ExecutionRow:
    """The row that was written as `value`."""
    changed = {
        "steps": tuple(StepRow(**_times(step)) for step in value["steps"]),
        "scheduled_for": moment(value.get("scheduled_for")),
    }
    return ExecutionRow(**{**_times(value), **changed})


def _times(value: Mapping[str, Any]) -> dict[str, Any]:
    times = {
        name: text and datetime.fromisoformat(text)
        for name in ("started_at", "ended_at")
        for text in (value[name],)
    }
    return {**value, **times}


def columns(aggregate_id: str, row: ExecutionRow) -> tuple[Any, ...]:
    """In the order of `UPSERT`."""
    return (
        column_text(aggregate_id),
        column_text(tenant_of(aggregate_id)),
        row.version,
        column_text(row.pipeline_id),
        row.status,
        row.started_at,
        dumps(row).decode(),
    )


UPSERT = """
INSERT INTO flexcore.executions AS held
    (id, tenant, version, pipeline_id, status, started_at, body)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[],
                     %s::timestamptz[], %s::json[])
ON CONFLICT (id) DO UPDATE SET
    version = excluded.version, pipeline_id = excluded.pipeline_id, status = excluded.status,
    started_at = excluded.started_at, body = excluded.body
WHERE held.version <= excluded.version
"""

EXECUTIONS = Projection(
    name="executions",
    context="execution",
    events=CONTEXTS["execution"].events,
    fold=fold,
    load=load,
    columns=columns,
    upsert=UPSERT,
)


# ── queries ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionById:
    """One execution by its local id. Raises NotFound."""

    tenant: str
    execution_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionsMatching:
    """A page of a tenant's executions, last started first unless asked otherwise, from `since` on."""

    tenant: str
    pipeline: str | None = None
    status: str | None = None
    since: datetime | None = None
    oldest_first: bool = False
    limit: int = 50
    offset: int = 0
    cursor: str | None = None


_LISTING = Listing(table="executions", newest_by="started_at")


async def execution_by_id(query: ExecutionById, pool: AsyncConnectionPool) -> dict[str, Any]:
    """The execution's shape. Raises NotFound, Unavailable."""
    found = await read_one(pool, _LISTING, tenant=query.tenant, local_id=query.execution_id)
    if found is None:
        raise NotFound(
            "execution.not_found",
            f"there is no execution {query.execution_id!r}; start one",
            execution_id=query.execution_id,
        )
    return found


async def executions_matching(query: ExecutionsMatching, pool: AsyncConnectionPool) -> Page:
    """Raises Invalid for a limit, offset or cursor that is none, Unavailable."""
    filters: Filters = {"pipeline_id": query.pipeline, "status": query.status}
    return await read_page(
        pool,
        _LISTING,
        tenant=query.tenant,
        equal=filters,
        since=query.since,
        oldest_first=query.oldest_first,
        limit=query.limit,
        offset=query.offset,
        cursor=query.cursor,
    )
