"""What every event store promises of appending; one subclass per adapter."""

import asyncio
import uuid
from datetime import UTC, datetime

import pytest

from domain.errors import Invalid, VersionConflict
from domain.pipeline.pipeline import PipelineActivated, PipelineCreated
from streams.event_store import Appended, EventStore, Part, Selection
from streams.records import ANY, ExpectedVersion
from tests.contracts.event_world import DEFINITION, World, new_id

NONE, EXISTS = ExpectedVersion("none"), ExpectedVersion("exists")
RACERS = 16


def exact(version: int) -> ExpectedVersion:
    return ExpectedVersion("exact", version)


class EventAppendContract:
    """Subclasses give the fixture `world`."""

    def test_appended_events_can_be_read_at_once(self, world: World[EventStore]) -> None:
        one = new_id()
        events = [created(one), activated(one)]

        done = append(world, Part(one, events, NONE))
        found = world.run(world.store.read("pipeline", one))

        assert done.versions == {one: (1, 2)}
        assert done.position == f"pipeline/{found.events[1].partition}@{found.events[1].offset}"
        assert [world.codec.decode(event.value or b"") for event in found.events] == events

    @pytest.mark.parametrize(
        ("expected", "accepts_new", "accepts_second"),
        [
            (ANY, True, True),
            (NONE, True, False),
            (EXISTS, False, True),
            (exact(0), True, False),
            (exact(1), False, True),
            (exact(2), False, False),
        ],
        ids=str,
    )
    def test_expected_version_is_a_condition(
        self,
        world: World[EventStore],
        expected: ExpectedVersion,
        accepts_new: bool,
        accepts_second: bool,
    ) -> None:
        fresh, second = new_id(), new_id()
        append(world, Part(second, [created(second)]))

        assert accepted(world, Part(fresh, [created(fresh)], expected)) == accepts_new
        assert accepted(world, Part(second, [activated(second)], expected)) == accepts_second
        assert last_version(world, second) == 1 + accepts_second

    def test_several_aggregates_of_a_partition_are_appended_at_once(
        self, world: World[EventStore]
    ) -> None:
        one, two, three = world.neighbours(3)

        done = append(
            world,
            Part(one, [created(one), activated(one)], NONE),
            Part(two, [created(two)], NONE),
            Part(three, [created(three)]),
        )

        assert done.versions == {one: (1, 2), two: (1,), three: (1,)}
        assert [last_version(world, each) for each in (one, two, three)] == [2, 1, 1]

    def test_an_aggregate_of_hundreds_of_events_shows_its_events_and_nothing_else(
        self, world: World[EventStore]
    ) -> None:
        one, begin = new_id(), world.run(world.end())
        for number in range(3):
            append(world, Part(one, [created(one)] * 75, exact(75 * number)))

        found = world.run(world.store.read("pipeline", one, 99, 4))
        seen = world.run(world.everything(Selection(position=begin)))

        assert [event.version for event in found.events] == [99, 100, 101, 102]
        assert sorted(event.version for event in seen) == list(range(1, 226))
        assert not accepted(world, Part(one, [activated(one)], exact(224)))
        assert accepted(world, Part(one, [activated(one)], exact(225)))

    def test_condition_alone_writes_nothing(self, world: World[EventStore]) -> None:
        one, two, three = world.neighbours(3)
        append(world, Part(one, [created(one)]))

        done = append(
            world, Part(one, (), exact(1)), Part(two, [created(two)]), Part(three, (), NONE)
        )
        checked = append(world, Part(one, (), EXISTS))

        assert done.versions == {two: (1,)}
        assert (checked.versions, checked.position) == ({}, "")
        assert [last_version(world, each) for each in (one, two)] == [1, 1]

    def test_one_condition_that_fails_keeps_everything_out(self, world: World[EventStore]) -> None:
        one, two, three = world.neighbours(3)
        begin = world.run(world.end())

        for failing in (Part(three, (), EXISTS), Part(three, [created(three)], exact(4))):
            with pytest.raises(VersionConflict, match=three):
                append(world, Part(one, [created(one)]), Part(two, [created(two)], NONE), failing)

        assert world.run(world.everything(Selection(position=begin))) == []

    def test_same_append_takes_effect_once(self, world: World[EventStore]) -> None:
        one, two = world.neighbours(2)
        append_id = uuid.uuid4()
        parts = (
            Part(one, [created(one)], NONE),
            Part(two, [created(two), activated(two)], exact(0)),
        )

        first = append(world, *parts, append_id=append_id)
        append(world, Part(one, [activated(one)], exact(1)))
        again = append(world, *parts, append_id=append_id)

        assert again == first
        assert [last_version(world, each) for each in (one, two)] == [2, 2]

    def test_same_append_at_once_takes_effect_once(self, world: World[EventStore]) -> None:
        one, append_id = new_id(), uuid.uuid4()
        part = Part(one, [created(one)])

        async def together() -> list[Appended]:
            again = (
                world.store.append("pipeline", [part], append_id=append_id) for _ in range(RACERS)
            )
            return await asyncio.gather(*again)

        done = world.run(together())

        assert all(each == done[0] for each in done)
        assert last_version(world, one) == 1

    def test_an_append_that_failed_may_be_tried_again(self, world: World[EventStore]) -> None:
        one, append_id = new_id(), uuid.uuid4()
        part = Part(one, [activated(one)], EXISTS)
        with pytest.raises(VersionConflict):
            append(world, part, append_id=append_id)
        append(world, Part(one, [created(one)]))

        assert append(world, part, append_id=append_id).versions == {one: (2,)}

    def test_exactly_one_of_many_wins_a_version(self, world: World[EventStore]) -> None:
        one = new_id()
        append(world, Part(one, [created(one)]))
        part = Part(one, [activated(one)], exact(1))

        async def race() -> list[Appended | BaseException]:
            racers = (
                world.store.append("pipeline", [part], append_id=uuid.uuid4())
                for _ in range(RACERS)
            )
            return await asyncio.gather(*racers, return_exceptions=True)

        results = world.run(race())

        won = [result for result in results if isinstance(result, Appended)]
        lost = [result for result in results if isinstance(result, VersionConflict)]
        assert (len(won), len(lost)) == (1, RACERS - 1)
        assert won[0].versions == {one: (2,)}
        assert last_version(world, one) == 2

    def test_commands_meet_what_was_appended(self, world: World[EventStore]) -> None:
        one = new_id()
        append(world, Part(one, [created(one)]))

        world.run(world.activate(one))
        done = append(world, Part(one, [activated(one)], exact(2)))

        assert done.versions == {one: (3,)}

    def test_aggregates_of_several_partitions_are_refused(self, world: World[EventStore]) -> None:
        one = new_id()
        far = world.stranger(one)

        with pytest.raises(Invalid):
            append(world, Part(one, [created(one)]), Part(far, [created(far)]))
        with pytest.raises(Invalid):
            append(world, Part(one, [created(one)]), Part(far, (), NONE))

    def test_what_makes_no_sense_is_refused(self, world: World[EventStore]) -> None:
        one = new_id()

        with pytest.raises(Invalid):
            append(world)
        with pytest.raises(Invalid):
            append(world, Part(one, [created(one)]), Part(one, [activated(one)]))
        with pytest.raises(Invalid):
            append(world, Part(one, ["no event"]))


def append(world: World[EventStore], *parts: Part, append_id: uuid.UUID | None = None) -> Appended:
    made = world.store.append("pipeline", parts, append_id=append_id or uuid.uuid4())
    return world.run(made)


def accepted(world: World[EventStore], part: Part) -> bool:
    try:
        append(world, part)
    except VersionConflict:
        return False
    return True


def last_version(world: World[EventStore], pipeline_id: str) -> int:
    return world.run(world.store.read("pipeline", pipeline_id)).version


def created(pipeline_id: str) -> PipelineCreated:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return PipelineCreated(pipeline_id, 1, "h", "Name", "somebody", at, "", DEFINITION)


def activated(pipeline_id: str) -> PipelineActivated:
    return PipelineActivated(pipeline_id, "somebody", datetime(2026, 1, 2, tzinfo=UTC), "go")
