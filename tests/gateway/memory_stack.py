"""FlexCore in this process: the judge, the folds and the REST door, with memory in between."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from starlette.testclient import TestClient

from domain.errors import Unavailable, Unknown
from gateway.rest.app import Deps, create_app
from gateway.rest.health import Check
from gateway.services.read_models import ReadModelAt
from projections.executions import ExecutionById, ExecutionsMatching
from projections.handlers import PROJECTIONS
from projections.page import Page, Total
from projections.pipelines import PipelineById, PipelinesMatching
from projections.projection import Meta
from projections.values import aggregate_id_of, dumps
from schemas import catalogue
from schemas.codec import Codec
from streams.answers import Answer
from streams.command_bus import CommandRequest, outcome_unknown
from streams.memory_command_bus import MemoryCommandBus
from streams.memory_event_store import MemoryEventStore
from streams.query_bus import QueryBus

STEP = {"id": "read", "uses": "flexcore.csv_read", "with": {"path": "a.csv"}}
PIPELINE = {"pipeline_id": "weather", "name": "Weather", "steps": [STEP]}


def local_codec() -> Codec:
    """A codec whose ids are those of no registry."""
    return Codec({name: number for number, name in enumerate(catalogue.records(), 1)})


class MemoryReads:
    """The read models as folds over the event store; `late` stops them where they are."""

    def __init__(self, store: MemoryEventStore, codec: Codec) -> None:
        self._store = store
        self._codec = codec
        self.late = False
        self.away = False
        self._kept: dict[tuple[str, str], dict[str, Any]] = {}

    def bus(self) -> QueryBus:
        return QueryBus(
            {
                PipelineById: self._pipeline,
                ExecutionById: self._execution,
                PipelinesMatching: self._find,
                ExecutionsMatching: self._find,
                ReadModelAt: self._reach,
            }
        )

    async def _reach(self, query: ReadModelAt) -> None:
        assert query.wait_s >= 0
        newest = max(
            (e.offset for events in self._store.everything().values() for e in events), default=-1
        )
        if self.late or any(offset > newest for offset in query.position.values()):
            raise Unknown("read_model.behind", "the read model is behind")

    async def _pipeline(self, query: PipelineById) -> dict[str, Any]:
        return await self._one("pipelines", aggregate_id_of(query.tenant, query.pipeline_id))

    async def _execution(self, query: ExecutionById) -> dict[str, Any]:
        return await self._one("executions", aggregate_id_of(query.tenant, query.execution_id))

    async def _one(self, name: str, aggregate_id: str) -> dict[str, Any]:
        if self.away:
            raise Unavailable("database.unavailable", "the database is away")
        projection = PROJECTIONS[name]
        found = await self._store.read(projection.context, aggregate_id)
        row = None
        for event in found.events:
            message = self._codec.decode(event.value or b"")
            row = projection.fold(row, message, Meta(aggregate_id, event.version))
        shape: dict[str, Any] = orjson.loads(dumps(row))
        return shape

    async def _find(self, query: PipelinesMatching | ExecutionsMatching) -> Page:
        name = "pipelines" if isinstance(query, PipelinesMatching) else "executions"
        ids = [a for c, a in self._store.everything() if c == PROJECTIONS[name].context]
        items = [await self._one(name, aggregate_id) for aggregate_id in ids]
        items = [item for item in items if query.status in (None, item["status"])]
        return Page(items[: query.limit], None, Total(len(items), False))


class SilentBus:
    """Takes commands and never answers."""

    async def send(self, request: CommandRequest, timeout_s: float) -> Answer:
        raise outcome_unknown(request.identity, timeout_s)


class MemoryStack:
    """`clock` stands still unless a test moves it."""

    def __init__(self, bus: Any = None) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.codec = local_codec()
        self.store = MemoryEventStore(self.codec, now=lambda: self.now)
        self.bus = MemoryCommandBus(self.store, self.codec, now=lambda: self.now)
        self.reads = MemoryReads(self.store, self.codec)
        self.broker_away = False
        deps = Deps(
            commands=bus or self.bus,
            queries=self.reads.bus(),
            events=self.store,
            codec=self.codec,
            checks=(Check("kafka", self._kafka, True), Check("database", self._database, False)),
        )
        self.app = create_app(deps)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def _kafka(self) -> None:
        if self.broker_away:
            raise Unavailable("broker.unavailable", "Kafka is away")

    async def _database(self) -> None:
        if self.reads.away:
            raise Unavailable("database.unavailable", "the database is away")


def create(stack: MemoryStack, pipeline_id: str = "weather") -> dict[str, Any]:
    answer = stack.client.post("/v1/pipelines", json={**PIPELINE, "pipeline_id": pipeline_id})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def activate(stack: MemoryStack, pipeline_id: str = "weather") -> None:
    create(stack, pipeline_id)
    assert stack.client.post(f"/v1/pipelines/{pipeline_id}/activate").status_code == 200


__all__ = ["PIPELINE", "STEP", "MemoryStack", "SilentBus", "activate", "create"]
