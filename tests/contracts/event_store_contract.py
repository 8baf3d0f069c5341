"""What every event store promises of reading one aggregate; one subclass per adapter."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import NotFound, Unknown
from domain.pipeline.pipeline import ActivatePipeline
from streams.event_store import AtLeast, EventReader
from streams.records import EventRecord
from tests.contracts.event_world import World, at_ms


class EventReaderContract:
    """Subclasses give the fixture `world`."""

    def test_events_come_in_the_order_of_their_versions(self, world: World[EventReader]) -> None:
        pipeline_id, command_ids = world.run(world.pipeline(3))

        found = world.run(world.store.read("pipeline", pipeline_id))

        assert found.version == 3
        assert [event.version for event in found.events] == [1, 2, 3]
        assert [event.command_id for event in found.events] == command_ids
        assert {event.aggregate_id for event in found.events} == {pipeline_id}
        assert sorted(event.offset for event in found.events) == [e.offset for e in found.events]
        messages = [world.codec.decode(event.value or b"") for event in found.events]
        assert [message.name for message in messages] == ["Name", "Name 2", "Name 3"]

    def test_what_was_answered_can_be_read_at_once(self, world: World[EventReader]) -> None:
        pipeline_id, _ = world.run(world.pipeline(1))
        for version in range(2, 12):
            world.run(world.revise(pipeline_id, f"Name {version}"))
            found = world.run(world.store.read("pipeline", pipeline_id, version))
            assert [event.version for event in found.events] == [version]

    def test_stream_is_read_in_pieces(self, world: World[EventReader]) -> None:
        pipeline_id, _ = world.run(world.pipeline(5))

        first = world.run(world.store.read("pipeline", pipeline_id, limit=2))
        middle = world.run(world.store.read("pipeline", pipeline_id, 3, 2))
        beyond = world.run(world.store.read("pipeline", pipeline_id, 6))

        assert versions(first.events) == [1, 2]
        assert versions(middle.events) == [3, 4]
        assert list(beyond.events) == []
        assert {first.version, middle.version, beyond.version} == {5}

    @pytest.mark.parametrize(
        ("first", "last", "limit", "expected"),
        [(1, 3, 9, [1, 2, 3]), (2, 3, 9, [2, 3]), (2, 4, 2, [2, 3]), (3, 2, 9, []), (4, 9, 9, [4])],
    )
    def test_reading_ends_at_a_version(
        self, world: World[EventReader], first: int, last: int, limit: int, expected: list[int]
    ) -> None:
        pipeline_id, _ = world.run(world.pipeline(4))

        found = world.run(world.store.read("pipeline", pipeline_id, first, limit, to_version=last))

        assert (versions(found.events), found.version) == (expected, 4)

    def test_aggregate_is_read_as_it_stood_at_a_time(self, world: World[EventReader]) -> None:
        pipeline_id, _ = world.run(world.pipeline(5))
        events = world.run(world.store.read("pipeline", pipeline_id)).events

        for event in events:
            there = [e.version for e in events if e.timestamp_ms <= event.timestamp_ms]
            moment = at_ms(event.timestamp_ms)

            found = world.run(world.store.read("pipeline", pipeline_id, at=moment))
            tail = world.run(world.store.read("pipeline", pipeline_id, len(there), at=moment))

            assert (versions(found.events), found.version) == (there, len(there))
            assert versions(tail.events) == there[-1:]

    def test_before_its_first_event_an_aggregate_has_none(self, world: World[EventReader]) -> None:
        pipeline_id, _ = world.run(world.pipeline(2))
        first = world.run(world.store.read("pipeline", pipeline_id)).events[0]
        before = at_ms(first.timestamp_ms) - timedelta(microseconds=1)

        found = world.run(world.store.read("pipeline", pipeline_id, at=before))
        later = world.run(
            world.store.read("pipeline", pipeline_id, at=datetime.now(UTC) + timedelta(days=1))
        )

        assert (found.version, list(found.events)) == (0, [])
        assert (later.version, versions(later.events)) == (2, [1, 2])

    def test_headers_say_what_made_an_event(self, world: World[EventReader]) -> None:
        pipeline_id, _ = world.run(world.pipeline(1))
        command_id = world.run(world.send(ActivatePipeline(pipeline_id, "go")))

        event = world.run(world.store.read("pipeline", pipeline_id, 2)).events[0]

        assert event.type == "flexcore.pipeline.PipelineActivated"
        assert event.headers["ce_aggregateversion"] == b"2"
        assert event.headers["ce_commandid"] == command_id.encode()
        assert uuid.UUID(event.event_id).version == 5

    def test_read_at_a_position_includes_it(self, world: World[EventReader]) -> None:
        pipeline_id, _ = world.run(world.pipeline(2))
        last = world.run(world.store.read("pipeline", pipeline_id)).events[-1]
        there = AtLeast({("pipeline", last.partition): last.offset}, 20.0)
        elsewhere = AtLeast({("execution", last.partition): 10**9}, 20.0)

        for at_least in (there, elsewhere):
            found = world.run(world.store.read("pipeline", pipeline_id, at_least=at_least))
            assert versions(found.events) == [1, 2]

    def test_position_that_does_not_come_in_time_is_said_so(
        self, world: World[EventReader]
    ) -> None:
        pipeline_id, _ = world.run(world.pipeline(1))
        last = world.run(world.store.read("pipeline", pipeline_id)).events[-1]
        ahead = AtLeast({("pipeline", last.partition): last.offset + 1_000}, 0.05)

        with pytest.raises(Unknown) as behind:
            world.run(world.store.read("pipeline", pipeline_id, at_least=ahead))

        assert behind.value.code == "read_model.behind"

    @pytest.mark.parametrize("aggregate_id", ["absent", "a/b", "a b", "%2e%2e", "é", "?x=1#y"])
    def test_aggregate_without_events_is_not_found(
        self, world: World[EventReader], aggregate_id: str
    ) -> None:
        with pytest.raises(NotFound):
            world.run(world.store.read("pipeline", aggregate_id))
        with pytest.raises(NotFound):
            world.run(world.store.read("pipeline", aggregate_id, at=datetime.now(UTC)))

    def test_contexts_are_apart(self, world: World[EventReader]) -> None:
        pipeline_id, _ = world.run(world.pipeline(1))

        with pytest.raises(NotFound):
            world.run(world.store.read("execution", pipeline_id))


def versions(events: Sequence[EventRecord]) -> list[int]:
    return [event.version for event in events]
