"""Routes of pipelines: POST, PUT, DELETE → commands; GET → queries."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response

from domain.errors import Invalid
from gateway.pipeline_file import PipelineFile, PipelineIn
from gateway.rest import shapes
from gateway.rest.documented import KNOWN, LIST, READ, WRITE
from gateway.rest.headers import asked, caller, freshness
from gateway.rest.pages import Page
from gateway.rest.responses import page_response, shape_response, written_response
from gateway.services.asked import Asked, Caller, Freshness
from gateway.services.pipelines import PipelineService
from projections.pipelines import PipelinesMatching


class Revision(PipelineIn):
    """A new definition; `pipeline_id` may be left out."""

    pipeline_id: str | None = None


class Filter(Page[Literal["-updated_at", "updated_at"]]):
    """Which pipelines; `name` is matched exactly."""

    status: Literal["draft", "active", "paused", "archived"] | None = None
    name: str | None = None
    sort: Literal["-updated_at", "updated_at"] = "-updated_at"


_WRITTEN = shapes.Pipeline | shapes.Outcome
"""The outcome where the read model is late."""


def pipelines_router(service: PipelineService) -> APIRouter:
    """The routes over `service`."""
    router = APIRouter(prefix="/v1/pipelines", tags=["pipelines"])

    @router.post("", status_code=201, response_model=_WRITTEN, responses=WRITE)
    async def create(body: PipelineFile, how: Annotated[Asked, Depends(asked)]) -> Response:
        """Create a pipeline; its body is the pipeline file as JSON."""
        written = await service.create(body.pipeline_id, body, how)
        return written_response(written, 201, location=f"/v1/pipelines/{body.pipeline_id}")

    @router.put("/{pipeline_id}", response_model=_WRITTEN, responses=WRITE)
    async def revise(
        pipeline_id: str, body: Revision, how: Annotated[Asked, Depends(asked)]
    ) -> Response:
        """Revise a pipeline; this never creates one."""
        if body.pipeline_id not in (None, pipeline_id):
            raise Invalid(
                "command.wrong_key",
                f"pipeline_id is {body.pipeline_id!r}, the path says {pipeline_id!r}; "
                "they must be equal",
            )
        return written_response(await service.revise(pipeline_id, body, how), 200)

    @router.post("/{pipeline_id}/activate", response_model=_WRITTEN, responses=WRITE)
    async def activate(
        pipeline_id: str,
        how: Annotated[Asked, Depends(asked)],
        body: shapes.Reason | None = None,
    ) -> Response:
        """Activate a pipeline, so that it can be executed."""
        return written_response(await service.activate(pipeline_id, _reason(body), how), 200)

    @router.post("/{pipeline_id}/pause", response_model=_WRITTEN, responses=WRITE)
    async def pause(
        pipeline_id: str,
        how: Annotated[Asked, Depends(asked)],
        body: shapes.Reason | None = None,
    ) -> Response:
        """Pause a pipeline: no new run starts, those that go on are left alone."""
        return written_response(await service.pause(pipeline_id, _reason(body), how), 200)

    @router.post("/{pipeline_id}/archive", response_model=_WRITTEN, responses=WRITE)
    async def archive(
        pipeline_id: str,
        how: Annotated[Asked, Depends(asked)],
        body: shapes.Reason | None = None,
    ) -> Response:
        """Archive a pipeline for good; its history and its id stay."""
        return written_response(await service.archive(pipeline_id, _reason(body), how), 200)

    @router.delete("/{pipeline_id}", response_model=_WRITTEN, responses=WRITE)
    async def delete(pipeline_id: str, how: Annotated[Asked, Depends(asked)]) -> Response:
        """Archive a pipeline for good, as `POST /archive` does."""
        return written_response(await service.archive(pipeline_id, "", how), 200)

    @router.get("/{pipeline_id}", response_model=shapes.Pipeline, responses=READ | KNOWN)
    async def get(
        pipeline_id: str,
        by: Annotated[Caller, Depends(caller)],
        fresh: Annotated[Freshness | None, Depends(freshness)],
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """One pipeline."""
        return shape_response(await service.get(by, pipeline_id, fresh), if_none_match)

    @router.get("", response_model=shapes.Pipelines, responses=LIST)
    async def find(
        query: Annotated[Filter, Query()],
        by: Annotated[Caller, Depends(caller)],
        fresh: Annotated[Freshness | None, Depends(freshness)],
    ) -> Response:
        """Pipelines, last changed first unless sorted the other way round."""
        matching = PipelinesMatching(tenant=by.tenant, **query.matching())
        return page_response(await service.find(by, matching, fresh))

    return router


def _reason(body: shapes.Reason | None) -> str:
    return "" if body is None else body.reason
