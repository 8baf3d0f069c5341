"""A store and the write path that fills it, as the contracts use them."""

import asyncio
import uuid
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from domain.definition import Definition, OnError, Step
from domain.pipeline.pipeline import (
    ActivatePipeline,
    CreatePipeline,
    PipelineCommand,
    RevisePipeline,
)
from schemas.codec import Codec
from streams.command_bus import CommandBus, CommandRequest
from streams.event_store import EventFeed, EventReader, Place, Selection
from streams.records import EventRecord
from streams.topics import partition_of

T = TypeVar("T")
Store = TypeVar("Store", bound=EventReader, covariant=True)

DEFINITION = Definition((Step("a", "flexcore.x", (), OnError.FAIL, None, None, None, "{}"),))
ANSWERED_WITHIN_S = 20.0


@dataclass(frozen=True)
class World(Generic[Store]):
    """`examples` is how many cases of a property are worth their time here."""

    store: Store
    bus: CommandBus
    codec: Codec
    runner: asyncio.Runner
    partitions: int
    examples: int

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def pipeline(self, versions: int) -> tuple[str, list[str]]:
        """A new pipeline with that many events, and the ids of the commands that made them."""
        pipeline_id = new_id()
        commands = [await self.send(CreatePipeline(pipeline_id, "Name", "", DEFINITION))]
        for version in range(2, versions + 1):
            commands.append(await self.revise(pipeline_id, f"Name {version}"))
        return pipeline_id, commands

    async def revise(self, pipeline_id: str, name: str) -> str:
        return await self.send(RevisePipeline(pipeline_id, name, "", DEFINITION))

    async def activate(self, pipeline_id: str) -> str:
        return await self.send(ActivatePipeline(pipeline_id, "go"))

    async def send(self, command: PipelineCommand) -> str:
        """Send a command that makes one event; returns its id."""
        command_id = str(uuid.uuid4())
        request = CommandRequest(
            context="pipeline",
            aggregate_id=command.pipeline_id,
            command=command,
            command_id=command_id,
            correlation_id=command_id,
        )
        answer = await self.bus.send(request, ANSWERED_WITHIN_S)
        assert (answer.status, len(answer.versions)) == ("accepted", 1), answer
        return command_id

    async def everything(self, selection: Selection) -> list[EventRecord]:
        """What a bounded feed gives."""
        return [event async for event in self.store.read_all(selection)]

    async def end(self) -> Mapping[Place, int]:
        """The position behind all there is."""
        feed = self.store.read_all(Selection())
        async for _ in feed:
            pass
        return feed.position

    def neighbours(self, count: int) -> list[str]:
        """New ids that share a partition."""
        ids = [new_id()]
        home = partition_of(ids[0], self.partitions)
        while len(ids) < count:
            other = new_id()
            if partition_of(other, self.partitions) == home:
                ids.append(other)
        return ids

    def stranger(self, aggregate_id: str) -> str:
        """A new id on another partition."""
        while True:
            other = new_id()
            if partition_of(other, self.partitions) != partition_of(aggregate_id, self.partitions):
                return other


async def given(feed: EventFeed, count: int) -> list[EventRecord]:
    """The next events of a feed, which stays open."""
    found: list[EventRecord] = []
    async with asyncio.timeout(ANSWERED_WITHIN_S):
        async for event in feed:
            found.append(event)
            if len(found) == count:
                break
    return found


def new_id() -> str:
    return f"p-{uuid.uuid4().hex[:12]}"


def at_ms(timestamp_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=timestamp_ms)
