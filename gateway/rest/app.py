"""The REST application: routes over the application services.

Tracing ─► Admission ─► BodyLimit ─► /v1/pipelines  /v1/executions  /v1/commands  /v1/streams  /v1/tables
                                      /registry  /livez /readyz /startupz /metrics  /openapi.json /docs
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from fastapi import FastAPI

from gateway.rest.admission import Admission, Limits
from gateway.rest.body_limit import BodyLimit
from gateway.rest.commands import commands_router
from gateway.rest.docs import docs_router
from gateway.rest.documented import EACH, REGISTRY, as_problems
from gateway.rest.errors import add_error_handlers
from gateway.rest.executions import executions_router
from gateway.rest.health import Check, health_router
from gateway.rest.pipelines import pipelines_router
from gateway.rest.registry import registry_router
from gateway.rest.streams import streams_router
from gateway.rest.tables import tables_router
from gateway.rest.tracing import Tracing
from gateway.services.commands import CommandService
from gateway.services.executions import ExecutionService
from gateway.services.pipelines import PipelineService
from gateway.services.streams import StreamService
from gateway.services.tables import TableService
from schemas.codec import Codec
from streams.command_bus import CommandBus
from streams.event_store import EventReader
from streams.query_bus import QueryBus
from streams.registry import Registry

TITLE = "FlexCore"
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """What the door stands on; without a registry there is no `/registry`, without `tables` no `/tables`."""

    commands: CommandBus
    queries: QueryBus
    events: EventReader
    codec: Codec
    registry: Registry | None = None
    tables: TableService | None = None
    checks: tuple[Check, ...] = ()
    limits: Limits = field(default_factory=Limits)


def create_app(deps: Deps, lifespan: Lifespan | None = None) -> FastAPI:
    """The application over `deps`; `lifespan` starts and stops what they need."""
    app = FastAPI(
        title=TITLE,
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=EACH,
    )
    commands = CommandService(deps.commands)
    events = StreamService(deps.events, deps.codec)
    for router in (
        pipelines_router(PipelineService(commands, deps.queries)),
        executions_router(ExecutionService(commands, deps.queries), events),
        commands_router(commands),
        streams_router(events),
    ):
        app.include_router(router)
    app.include_router(health_router(deps.checks))
    app.include_router(docs_router(TITLE))
    if deps.tables is not None:
        app.include_router(tables_router(deps.tables))
    if deps.registry is not None:
        router = registry_router(deps.registry)
        app.include_router(router, prefix="/registry", responses=REGISTRY)
    add_error_handlers(app)
    describe = app.openapi
    app.openapi = lambda: as_problems(describe())  # type: ignore[method-assign]
    # The last one added is outermost.
    app.add_middleware(BodyLimit)
    app.add_middleware(Admission, limits=deps.limits)
    app.add_middleware(Tracing)
    return app
