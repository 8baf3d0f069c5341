"""Routes of executions: starting one belongs to its pipeline, everything else to itself."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict
from starlette.responses import Response

from gateway.rest import shapes
from gateway.rest.headers import asked, caller, freshness
from gateway.rest.responses import page_response, shape_response, written_response
from gateway.services.asked import Asked, Caller, Freshness
from gateway.services.executions import ExecutionService, Start, has_ended
from projections.executions import ExecutionsMatching


class Filter(BaseModel):
    """Which executions: of one pipeline, with a status, started at `since` or later."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str | None = None
    status: Literal["running", "paused", "waiting", "succeeded", "failed", "cancelled"] | None = (
        None
    )
    since: AwareDatetime | None = None
    limit: int = 50
    offset: int = 0
    cursor: str | None = None


def executions_router(service: ExecutionService) -> APIRouter:
    """The routes over `service`."""
    router = APIRouter(prefix="/v1", tags=["executions"])

    @router.post(
        "/pipelines/{pipeline_id}/executions",
        status_code=202,
        response_model=shapes.Execution,
        responses={200: {"model": shapes.Execution, "description": "The run has ended"}},
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

    @router.post("/executions/{execution_id}/cancel", response_model=shapes.Execution)
    async def cancel(
        execution_id: str,
        how: Annotated[Asked, Depends(asked)],
        body: shapes.Reason | None = None,
    ) -> Response:
        """Cancel a run: its steps are asked to end, and ended where they do not within seconds."""
        reason = "" if body is None else body.reason
        return written_response(await service.cancel(execution_id, reason, how), 200)

    @router.get("/executions/{execution_id}", response_model=shapes.Execution)
    async def get(
        execution_id: str,
        by: Annotated[Caller, Depends(caller)],
        fresh: Annotated[Freshness | None, Depends(freshness)],
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """One run with its steps."""
        return shape_response(await service.get(by, execution_id, fresh), if_none_match)

    @router.get("/executions", response_model=shapes.Executions)
    async def find(
        query: Annotated[Filter, Query()],
        by: Annotated[Caller, Depends(caller)],
        fresh: Annotated[Freshness | None, Depends(freshness)],
    ) -> Response:
        """Runs, last started first."""
        matching = ExecutionsMatching(tenant=by.tenant, **query.model_dump())
        return page_response(await service.find(by, matching, fresh))

    return router
