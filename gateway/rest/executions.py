"""Routes of executions: starting one belongs to its pipeline, everything else to itself."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.responses import Response

from gateway.rest import shapes
from gateway.rest.documented import KNOWN, LIST, READ, WRITE
from gateway.rest.headers import asked, caller, freshness
from gateway.rest.pages import Page
from gateway.rest.responses import page_response, shape_response, written_response
from gateway.rest.streams import Slice, events_response, version_of
from gateway.services.asked import Asked, Caller, Freshness
from gateway.services.executions import CONTEXT, ExecutionService, Start, has_ended
from gateway.services.streams import Events, StreamService
from gateway.strict import Moment
from projections.executions import ExecutionsMatching
from projections.values import dumps


class Filter(Page[Literal["-started_at", "started_at"]]):
    """Which executions: of one pipeline, with a status, started at `since` or later."""

    pipeline: str | None = None
    status: Literal["running", "paused", "waiting", "succeeded", "failed", "cancelled"] | None = (
        None
    )
    since: Moment | None = None
    sort: Literal["-started_at", "started_at"] = "-started_at"


_WRITTEN = shapes.Execution | shapes.Outcome
"""The outcome where the read model is late."""
EVENT_STREAM = "text/event-stream"
QUIET_LOOKS = 30
"""Looks without news until a comment tells proxies that the connection is used: 15 s."""


def executions_router(service: ExecutionService, streams: StreamService) -> APIRouter:
    """The routes over `service`, and over `streams` for a run's events."""
    router = APIRouter(prefix="/v1", tags=["executions"])

    @router.post(
        "/pipelines/{pipeline_id}/executions",
        status_code=202,
        response_model=_WRITTEN,
        responses={200: {"model": shapes.Execution, "description": "The run has ended"}, **WRITE},
    )
    async def start(
        pipeline_id: str,
        how: Annotated[Asked, Depends(asked)],
        body: shapes.ExecutionIn | None = None,
    ) -> Response:
        """Start a run; `Prefer: wait=N` waits up to N seconds for its end."""
        given = shapes.ExecutionIn() if body is None else body
        wanted = Start(
            pipeline_id=pipeline_id,
            execution_id=given.execution_id,
            input=given.input,
            deadline_s=given.options.deadline_s,
            priority=given.options.priority,
        )
        written = await service.start(wanted, how)
        location = f"/v1/executions/{how.caller.local_id(written.answer.identity.aggregate_id)}"
        over = how.wait_s is not None and has_ended(written)
        return written_response(written, 200 if over else 202, location=location)

    @router.post("/executions/{execution_id}/cancel", response_model=_WRITTEN, responses=WRITE)
    async def cancel(
        execution_id: str,
        how: Annotated[Asked, Depends(asked)],
        body: shapes.Reason | None = None,
    ) -> Response:
        """Cancel a run: its steps are asked to end, and ended where they do not within seconds."""
        reason = "" if body is None else body.reason
        return written_response(await service.cancel(execution_id, reason, how), 200)

    @router.get(
        "/executions/{execution_id}",
        response_model=shapes.Execution,
        responses=READ | KNOWN,
    )
    async def get(
        execution_id: str,
        by: Annotated[Caller, Depends(caller)],
        fresh: Annotated[Freshness | None, Depends(freshness)],
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """One run with its steps."""
        return shape_response(await service.get(by, execution_id, fresh), if_none_match)

    @router.get(
        "/executions/{execution_id}/events",
        response_model=shapes.Events,
        responses={
            200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}},
            204: {"description": "The run has ended, and all its events are known"},
            **READ,
        },
    )
    async def events(
        execution_id: str,
        query: Annotated[Slice, Query()],
        by: Annotated[Caller, Depends(caller)],
        fresh: Annotated[Freshness | None, Depends(freshness)],
        # OpenAPI says it by media types, and has documents ignore a parameter of this name.
        accept: Annotated[str | None, Header(include_in_schema=False)] = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """A run's events; with `Accept: text/event-stream` as they come, up to its end.

        There an event's id is its version: `Last-Event-ID` goes on behind it.
        """
        if EVENT_STREAM not in (accept or ""):
            found = await streams.events(by, CONTEXT, execution_id, query.piece(), fresh)
            return events_response(found)
        after = query.from_version - 1 if last_event_id is None else version_of(last_event_id)
        if after and await streams.has_ended(by, CONTEXT, execution_id, after):
            # Whoever gets anything else comes again.
            return Response(status_code=204)
        pieces = streams.follow(by, CONTEXT, execution_id, after)
        first = await anext(pieces)
        return EventSourceResponse(_sent(first, pieces), headers={"Cache-Control": "no-store"})

    @router.get("/executions", response_model=shapes.Executions, responses=LIST)
    async def find(
        query: Annotated[Filter, Query()],
        by: Annotated[Caller, Depends(caller)],
        fresh: Annotated[Freshness | None, Depends(freshness)],
    ) -> Response:
        """Runs, last started first unless sorted the other way round."""
        matching = ExecutionsMatching(tenant=by.tenant, **query.matching())
        return page_response(await service.find(by, matching, fresh))

    return router


async def _sent(first: Events, pieces: AsyncGenerator[Events]) -> AsyncIterator[bytes]:
    quiet = 0
    for item in first.items:
        yield _event(item)
    async with aclosing(pieces):
        async for piece in pieces:
            for item in piece.items:
                yield _event(item)
            quiet = 0 if piece.items else quiet + 1
            if quiet >= QUIET_LOOKS:
                quiet = 0
                yield KEEPALIVE_COMMENT


def _event(item: dict[str, Any]) -> bytes:
    return format_sse_event(
        data_str=dumps(item).decode(), event=item["type"], id=str(item["version"])
    )
