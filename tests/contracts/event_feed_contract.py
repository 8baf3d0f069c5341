"""What every event store promises of reading all events; one subclass per adapter."""

import asyncio

import pytest
from hypothesis import given as property_of
from hypothesis import settings
from hypothesis import strategies as st

from domain.errors import Invalid
from streams.event_store import EventReader, Selection
from streams.records import EventRecord
from tests.contracts.event_world import World, at_ms, given

ACTIVATED = "flexcore.pipeline.PipelineActivated"


class EventFeedContract:
    """Subclasses give the fixture `world`; other tests may have left events in its store."""

    def test_every_event_comes_once_in_the_order_of_time(self, world: World[EventReader]) -> None:
        begin = world.run(world.end())
        ids = [world.run(world.pipeline(3))[0] for _ in range(5)]

        found = world.run(world.everything(Selection(position=begin)))

        assert sorted((e.aggregate_id, e.version) for e in found) == sorted(
            (pipeline_id, version) for pipeline_id in ids for version in (1, 2, 3)
        )
        assert [order(e) for e in found] == sorted(order(e) for e in found)

    def test_reading_goes_on_from_any_point(self, world: World[EventReader]) -> None:
        begin = world.run(world.end())
        for _ in range(4):
            world.run(world.pipeline(3))
        whole = world.run(world.everything(Selection(position=begin)))

        @settings(max_examples=world.examples, database=None)
        @property_of(st.integers(0, len(whole) - 1))
        def goes_on(cut: int) -> None:
            async def halves() -> list[EventRecord]:
                feed = world.store.read_all(Selection(position=begin))
                first = await given(feed, cut) if cut else []
                await feed.aclose()
                return first + await world.everything(Selection(position=feed.position or begin))

            assert world.run(halves()) == whole

        goes_on()

    def test_bounded_reading_ends_at_the_end_it_began_with(self, world: World[EventReader]) -> None:
        async def story() -> tuple[list[EventRecord], str]:
            begin = await world.end()
            pipeline_id, _ = await world.pipeline(3)
            feed = world.store.read_all(Selection(position=begin))
            first = await given(feed, 1)
            await world.revise(pipeline_id, "later")
            return first + [event async for event in feed], pipeline_id

        found, pipeline_id = world.run(story())

        assert [(e.aggregate_id, e.version) for e in found] == [
            (pipeline_id, version) for version in (1, 2, 3)
        ]

    def test_live_reading_goes_on_with_what_comes(self, world: World[EventReader]) -> None:
        async def story() -> list[int]:
            begin = await world.end()
            pipeline_id, _ = await world.pipeline(2)
            feed = world.store.read_all(Selection(position=begin), live=True)
            found = await given(feed, 2)
            for name in ("third", "fourth"):
                waiting = asyncio.create_task(given(feed, 1))
                await world.revise(pipeline_id, name)
                found += await waiting
            await feed.aclose()
            return [event.version for event in found]

        assert world.run(story()) == [1, 2, 3, 4]

    def test_who_gives_up_waiting_loses_nothing(self, world: World[EventReader]) -> None:
        async def story() -> list[int]:
            begin = await world.end()
            feed = world.store.read_all(Selection(position=begin), live=True)
            for _ in range(3):
                waiting = asyncio.create_task(given(feed, 1))
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
            await world.pipeline(2)
            found = await given(feed, 2)
            await feed.aclose()
            return [event.version for event in found]

        assert world.run(story()) == [1, 2]

    def test_closed_feed_gives_nothing_more(self, world: World[EventReader]) -> None:
        async def story() -> list[EventRecord]:
            begin = await world.end()
            await world.pipeline(2)
            feed = world.store.read_all(Selection(position=begin), live=True)
            await given(feed, 1)
            await feed.aclose()
            await feed.aclose()
            return [event async for event in feed]

        assert world.run(story()) == []

    def test_only_wanted_types_come(self, world: World[EventReader]) -> None:
        begin = world.run(world.end())
        pipeline_id, _ = world.run(world.pipeline(2))
        world.run(world.activate(pipeline_id))
        selection = Selection(position=begin, types=[ACTIVATED])

        found = world.run(world.everything(selection))

        assert [(e.aggregate_id, e.version, e.type) for e in found] == [(pipeline_id, 3, ACTIVATED)]

    def test_only_wanted_contexts_come(self, world: World[EventReader]) -> None:
        pipeline_id, _ = world.run(world.pipeline(1))

        theirs = world.run(world.everything(Selection(["execution"])))
        ours = world.run(world.everything(Selection(["pipeline"])))

        assert theirs == []
        assert pipeline_id in {event.aggregate_id for event in ours}

    def test_reading_begins_at_a_time(self, world: World[EventReader]) -> None:
        begin = world.run(world.end())
        for _ in range(6):
            world.run(world.pipeline(1))
        whole = world.run(world.everything(Selection(position=begin)))
        since_ms = whole[3].timestamp_ms

        found = world.run(world.everything(Selection(since=at_ms(since_ms))))
        none = world.run(
            world.everything(Selection(since=at_ms(whole[-1].timestamp_ms + 86_400_000)))
        )

        assert found == [event for event in whole if event.timestamp_ms >= since_ms]
        assert none == []

    def test_time_counts_only_where_no_position_is_named(self, world: World[EventReader]) -> None:
        begin = world.run(world.end())
        world.run(world.pipeline(2))
        whole = world.run(world.everything(Selection(position=begin)))
        late = at_ms(whole[-1].timestamp_ms + 86_400_000)

        assert world.run(world.everything(Selection(position=begin, since=late))) == whole

    def test_position_beyond_the_end_is_refused(self, world: World[EventReader]) -> None:
        begin = world.run(world.end())
        place = next(iter(begin))
        beyond = {**begin, place: begin[place] + 1_000_000}

        with pytest.raises(Invalid, match="beyond"):
            world.run(world.everything(Selection(position=beyond)))


def order(event: EventRecord) -> tuple[int, int, int, str]:
    return event.timestamp_ms, event.partition, event.offset, event.context
