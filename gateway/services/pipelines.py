"""PipelineService: create, revise, activate, pause, archive, get, list."""

from dataclasses import replace
from typing import Any

from domain.pipeline.pipeline import (
    ActivatePipeline,
    ArchivePipeline,
    CreatePipeline,
    PausePipeline,
    PipelineCommand,
    RevisePipeline,
)
from gateway.pipeline_file import PipelineIn
from gateway.services.asked import Asked, Caller, Freshness
from gateway.services.commands import CommandService
from gateway.services.read_models import ReadModel, Written
from projections.page import Page
from projections.pipelines import PipelineById, PipelinesMatching
from streams.query_bus import QueryBus

CONTEXT = "pipeline"


class PipelineService:
    """Every method takes and shows local ids inside the caller's tenant."""

    def __init__(self, commands: CommandService, queries: QueryBus) -> None:
        self._commands = commands
        self._read_model = ReadModel(queries, "pipelines", CONTEXT)

    async def create(self, pipeline_id: str, pipeline: PipelineIn, asked: Asked) -> Written:
        """Raises Refused where it exists, Invalid where its definition cannot run."""
        aggregate_id = asked.caller.new_id(CONTEXT, pipeline_id)
        about = pipeline.name, pipeline.description
        command = CreatePipeline(aggregate_id, *about, pipeline.definition(), pipeline.timed())
        return await self._written(pipeline_id, command, asked)

    async def revise(self, pipeline_id: str, pipeline: PipelineIn, asked: Asked) -> Written:
        """Raises NotFound, Invalid."""
        aggregate_id = asked.caller.new_id(CONTEXT, pipeline_id)
        about = pipeline.name, pipeline.description
        command = RevisePipeline(aggregate_id, *about, pipeline.definition(), pipeline.timed())
        return await self._written(pipeline_id, command, asked)

    async def activate(self, pipeline_id: str, reason: str, asked: Asked) -> Written:
        """Raises NotFound, Refused where it is archived. An active pipeline stays as it is."""
        aggregate_id = asked.caller.new_id(CONTEXT, pipeline_id)
        return await self._written(pipeline_id, ActivatePipeline(aggregate_id, reason), asked)

    async def pause(self, pipeline_id: str, reason: str, asked: Asked) -> Written:
        """Raises NotFound, Refused where it is not active. A paused pipeline stays as it is."""
        aggregate_id = asked.caller.new_id(CONTEXT, pipeline_id)
        return await self._written(pipeline_id, PausePipeline(aggregate_id, reason), asked)

    async def archive(self, pipeline_id: str, reason: str, asked: Asked) -> Written:
        """Raises NotFound. An archived pipeline stays as it is."""
        aggregate_id = asked.caller.new_id(CONTEXT, pipeline_id)
        return await self._written(pipeline_id, ArchivePipeline(aggregate_id, reason), asked)

    async def get(
        self, caller: Caller, pipeline_id: str, freshness: Freshness | None = None
    ) -> dict[str, Any]:
        """The pipeline's shape. Raises NotFound."""
        caller.known_id(CONTEXT, pipeline_id)
        query = PipelineById(tenant=caller.tenant, pipeline_id=pipeline_id)
        found: dict[str, Any] = await self._read_model.ask(query, freshness)
        return found

    async def find(
        self, caller: Caller, query: PipelinesMatching, freshness: Freshness | None = None
    ) -> Page:
        """A page of the caller's pipelines. Raises Invalid."""
        found: Page = await self._read_model.ask(replace(query, tenant=caller.tenant), freshness)
        return found

    async def _written(self, pipeline_id: str, command: PipelineCommand, asked: Asked) -> Written:
        answer = await self._commands.send(CONTEXT, command.pipeline_id, command, asked)
        query = PipelineById(tenant=asked.caller.tenant, pipeline_id=pipeline_id)
        return await self._read_model.written(answer, query, asked.wait_s)
