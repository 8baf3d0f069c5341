"""What every event store promises; one subclass per adapter."""

import asyncio
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from domain.definition import Definition, OnError, Step
from domain.errors import NotFound
from domain.pipeline.pipeline import ActivatePipeline, CreatePipeline, RevisePipeline
from schemas.codec import Codec
from streams.command_bus import CommandBus, CommandRequest
from streams.event_store import EventStore

T = TypeVar("T")


@dataclass
class World:
    """A store and the write path that fills it."""

    store: EventStore
    bus: CommandBus
    codec: Codec
    runner: asyncio.Runner

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return self.runner.run(awaited())

    def pipeline(self, versions: int) -> tuple[str, list[str]]:
        """A new pipeline with that many events, and the ids of the commands that made them."""
        pipeline_id = f"p-{uuid.uuid4().hex[:12]}"
        step = Step("a", "flexcore.x", (), OnError.FAIL, None, None, None, "{}")
        definition = Definition((step,))
        commands: list[Any] = [CreatePipeline(pipeline_id, "Name", "", definition)]
        commands += [
            RevisePipeline(pipeline_id, f"Name {n}", "", definition) for n in range(2, versions + 1)
        ]
        return pipeline_id, [self.send("pipeline", pipeline_id, command) for command in commands]

    def send(self, context: str, aggregate_id: str, command: object) -> str:
        """Send a command that makes one event; returns its id."""
        command_id = str(uuid.uuid4())
        request = CommandRequest(
            context=context,
            aggregate_id=aggregate_id,
            command=command,
            command_id=command_id,
            correlation_id=command_id,
        )
        answer = self.run(self.bus.send(request, 20))
        assert (answer.status, len(answer.versions)) == ("accepted", 1), answer
        return command_id


class EventStoreContract:
    """Subclasses give the fixture `world`."""

    def test_events_come_in_the_order_of_their_versions(self, world: World) -> None:
        pipeline_id, command_ids = world.pipeline(3)

        found = world.run(world.store.read("pipeline", pipeline_id))

        assert found.version == 3
        assert [event.version for event in found.events] == [1, 2, 3]
        assert [event.command_id for event in found.events] == command_ids
        assert {event.aggregate_id for event in found.events} == {pipeline_id}
        assert sorted(event.offset for event in found.events) == [e.offset for e in found.events]
        messages = [world.codec.decode(event.value or b"") for event in found.events]
        assert [message.name for message in messages] == ["Name", "Name 2", "Name 3"]

    def test_what_was_answered_can_be_read_at_once(self, world: World) -> None:
        pipeline_id, _ = world.pipeline(1)
        for version in range(2, 12):
            world.send(
                "pipeline",
                pipeline_id,
                RevisePipeline(pipeline_id, str(version), "", _definition()),
            )
            found = world.run(world.store.read("pipeline", pipeline_id, version))
            assert [event.version for event in found.events] == [version]

    def test_stream_is_read_in_pieces(self, world: World) -> None:
        pipeline_id, _ = world.pipeline(5)

        first = world.run(world.store.read("pipeline", pipeline_id, limit=2))
        middle = world.run(world.store.read("pipeline", pipeline_id, 3, 2))
        beyond = world.run(world.store.read("pipeline", pipeline_id, 6))

        assert [event.version for event in first.events] == [1, 2]
        assert [event.version for event in middle.events] == [3, 4]
        assert list(beyond.events) == []
        assert {first.version, middle.version, beyond.version} == {5}

    def test_headers_say_what_made_an_event(self, world: World) -> None:
        pipeline_id, _ = world.pipeline(1)
        command_id = world.send("pipeline", pipeline_id, ActivatePipeline(pipeline_id, "go"))

        event = world.run(world.store.read("pipeline", pipeline_id, 2)).events[0]

        assert event.type == "flexcore.pipeline.PipelineActivated"
        assert event.headers["ce_aggregateversion"] == b"2"
        assert event.headers["ce_commandid"] == command_id.encode()
        assert uuid.UUID(event.event_id).version == 5

    @pytest.mark.parametrize("aggregate_id", ["absent", "a/b", "a b", "%2e%2e", "é", "?x=1#y"])
    def test_aggregate_without_events_is_not_found(self, world: World, aggregate_id: str) -> None:
        with pytest.raises(NotFound):
            world.run(world.store.read("pipeline", aggregate_id))

    def test_contexts_are_apart(self, world: World) -> None:
        pipeline_id, _ = world.pipeline(1)

        with pytest.raises(NotFound):
            world.run(world.store.read("execution", pipeline_id))


def _definition() -> Definition:
    return Definition((Step("a", "flexcore.x", (), OnError.FAIL, None, None, None, "{}"),))
