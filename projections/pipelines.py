"""Pipelines as they are now: one row each, with the steps as in the pipeline file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, assert_never

from psycopg_pool import AsyncConnectionPool

from domain.contexts import CONTEXTS
from domain.errors import NotFound
from domain.pipeline.pipeline import (
    PipelineActivated,
    PipelineArchived,
    PipelineCreated,
    PipelineEvent,
    PipelinePaused,
    PipelineRevised,
    PipelineScheduleFired,
)
from domain.schedule import CatchUp, Schedule, next_time
from projections.page import Filters, Listing, Page, read_one, read_page
from projections.projection import Meta, Projection
from projections.values import (
    column_text,
    dumps,
    local_id,
    moment,
    schedule_value,
    step_value,
    tenant_of,
)


@dataclass(frozen=True, slots=True)
class PipelineRow:
    """The public shape of a pipeline; `steps` and `schedule` are as in the pipeline file."""

    pipeline_id: str
    name: str
    description: str
    steps: tuple[dict[str, Any], ...]
    status: str
    revision: int
    hash: str
    version: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    schedule: dict[str, Any] | None = None
    next_run_at: datetime | None = None


# ── fold ─────────────────────────────────────────────────────────────────────────────────


def fold(row: PipelineRow | None, event: PipelineEvent, meta: Meta) -> PipelineRow | None:
    """The row after `event`; a version it has seen already changes nothing."""
    if row is not None and meta.version <= row.version:
        return row
    match event:
        case PipelineCreated():
            return _created(event, meta)
        case PipelineRevised():
            return row and _revised(row, event, meta)
        case PipelineActivated():
            active = row and _is_now("active", row, event, meta)
            return active and replace(active, next_run_at=_next(active, event.at))
        case PipelinePaused():
            return row and _is_now("paused", row, event, meta)
        case PipelineArchived():
            return row and _is_now("archived", row, event, meta)
        case PipelineScheduleFired():
            return row and _fired(row, event, meta)
        case _:
            assert_never(event)


def _is_now(
    status: str,
    row: PipelineRow,
    event: PipelineActivated | PipelinePaused | PipelineArchived,
    meta: Meta,
) -> PipelineRow:
    return replace(row, status=status, version=meta.version, updated_at=event.at, next_run_at=None)


def _created(event: PipelineCreated, meta: Meta) -> PipelineRow:
    return PipelineRow(
        pipeline_id=local_id(meta.aggregate_id),
        name=event.name,
        description=event.description,
        steps=tuple(step_value(step) for step in event.definition.steps),
        status="draft",
        revision=event.revision,
        hash=event.hash,
        version=meta.version,
        created_by=event.by,
        created_at=event.at,
        updated_at=event.at,
        schedule=schedule_value(event.schedule),
    )


def _revised(row: PipelineRow, event: PipelineRevised, meta: Meta) -> PipelineRow:
    revised = replace(
        row,
        name=event.name,
        description=event.description,
        steps=tuple(step_value(step) for step in event.definition.steps),
        revision=event.revision,
        hash=event.hash,
        version=meta.version,
        updated_at=event.at,
        schedule=schedule_value(event.schedule),
    )
    return replace(revised, next_run_at=_next(revised, event.at))


def _fired(row: PipelineRow, event: PipelineScheduleFired, meta: Meta) -> PipelineRow:
    # A run that starts by itself is no change of the pipeline: its place in lists stays.
    after = max(event.at, event.scheduled_for)
    return replace(row, version=meta.version, next_run_at=_next(row, after))


def _next(row: PipelineRow, after: datetime) -> datetime | None:
    if row.status != "active" or row.schedule is None:
        return None
    schedule = Schedule(row.schedule["cron"], row.schedule["zone"], CatchUp.LATEST, "{}")
    try:
        return next_time(schedule, after)
    except ValueError:
        # A zone that this machine does not know must not stop the partition.
        return None


# ── storage ──────────────────────────────────────────────────────────────────────────────


def load(value: Mapping[str, Any]) -> PipelineRow:
    """The row that was written as `value`."""
    times = {name: datetime.fromisoformat(value[name]) for name in ("created_at", "updated_at")}
    changed = {
        "steps": tuple(value["steps"]),
        "next_run_at": moment(value.get("next_run_at")),
    }
    return PipelineRow(**{**value, **changed, **times})


def columns(aggregate_id: str, row: PipelineRow) -> tuple[Any, ...]:
    """In the order of `UPSERT`."""
    return (
        column_text(aggregate_id),
        column_text(tenant_of(aggregate_id)),
        row.version,
        column_text(row.name),
        row.status,
        row.updated_at,
        dumps(row).decode(),
    )


UPSERT = """
INSERT INTO flexcore.pipelines AS held (id, tenant, version, name, status, updated_at, body)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[],
                     %s::timestamptz[], %s::json[])
ON CONFLICT (id) DO UPDATE SET
    version = excluded.version, name = excluded.name, status = excluded.status,
    updated_at = excluded.updated_at, body = excluded.body
WHERE held.version <= excluded.version
"""

PIPELINES = Projection(
    name="pipelines",
    context="pipeline",
    events=CONTEXTS["pipeline"].events,
    fold=fold,
    load=load,
    columns=columns,
    upsert=UPSERT,
)


# ── queries ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineById:
    """One pipeline by its local id. Raises NotFound."""

    tenant: str
    pipeline_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinesMatching:
    """A page of a tenant's pipelines, last changed first; `name` is matched exactly."""

    tenant: str
    status: str | None = None
    name: str | None = None
    oldest_first: bool = False
    limit: int = 50
    offset: int = 0
    cursor: str | None = None


_LISTING = Listing(table="pipelines", newest_by="updated_at")


async def pipeline_by_id(query: PipelineById, pool: AsyncConnectionPool) -> dict[str, Any]:
    """The pipeline's shape. Raises NotFound, Unavailable."""
    found = await read_one(pool, _LISTING, tenant=query.tenant, local_id=query.pipeline_id)
    if found is None:
        raise NotFound(
            "pipeline.not_found",
            f"there is no pipeline {query.pipeline_id!r}; create it first",
            pipeline_id=query.pipeline_id,
        )
    return found


async def pipelines_matching(query: PipelinesMatching, pool: AsyncConnectionPool) -> Page:
    """Raises Invalid for a limit, offset or cursor that is none, Unavailable."""
    filters: Filters = {"status": query.status, "name": query.name}
    return await read_page(
        pool,
        _LISTING,
        tenant=query.tenant,
        equal=filters,
        oldest_first=query.oldest_first,
        limit=query.limit,
        offset=query.offset,
        cursor=query.cursor,
    )
