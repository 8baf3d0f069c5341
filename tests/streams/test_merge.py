"""Events of many places in one order, whatever comes when."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.event_store import Place
from streams.merge import Merge
from streams.records import EventRecord

PLACES: Sequence[Place] = [("pipeline", 0), ("pipeline", 1), ("execution", 0), ("execution", 1)]
Log = dict[Place, list[EventRecord]]


def event(place: Place, offset: int, timestamp_ms: int) -> EventRecord:
    return EventRecord(place[0], "a", 1, place[1], offset, timestamp_ms, b"", {})


@st.composite
def logs(draw: st.DrawFn, *, clock_may_be_set_back: bool = False) -> Log:
    """A log whose times tie often, since a broker's are those of whole batches."""
    found = {}
    for place in PLACES:
        times = draw(st.lists(st.integers(0, 6), max_size=8))
        times = times if clock_may_be_set_back else sorted(times)
        found[place] = [event(place, offset, at) for offset, at in enumerate(times)]
    return found


def merged(log: Log) -> list[EventRecord]:
    merge = Merge(log)
    for place, events in log.items():
        merge.add(place, events)
        merge.end(place)
    return merge.take(1_000)


def order(one: EventRecord) -> tuple[int, int, int, str]:
    return one.timestamp_ms, one.partition, one.offset, one.context


@given(logs())
def test_order_is_by_time_partition_offset_and_context(log: Log) -> None:
    everything = [one for events in log.values() for one in events]

    assert merged(log) == sorted(everything, key=order)


@given(logs(clock_may_be_set_back=True))
def test_a_clock_that_is_set_back_changes_no_partition_s_order(log: Log) -> None:
    found = merged(log)

    for place, events in log.items():
        assert [one for one in found if (one.context, one.partition) == place] == events


@settings(max_examples=30)
@given(logs(clock_may_be_set_back=True), st.data())
def test_order_does_not_depend_on_what_arrives_when(log: Log, data: st.DataObject) -> None:
    merge = Merge(log)
    waiting = {place: list(events) for place, events in log.items()}
    found: list[EventRecord] = []

    while not merge.at_end:
        found += merge.take(data.draw(st.integers(0, 3)))
        open_places = [place for place in PLACES if place in waiting]
        if not open_places:
            found += merge.take(1_000)
            continue
        place = data.draw(st.sampled_from(open_places))
        count = data.draw(st.integers(0, 3))
        merge.add(place, waiting[place][:count])
        del waiting[place][:count]
        if not waiting[place]:
            merge.end(place)
            del waiting[place]

    assert found == merged(log)


@given(logs(clock_may_be_set_back=True), st.data())
def test_whoever_goes_on_later_gets_the_same_order(log: Log, data: st.DataObject) -> None:
    whole = merged(log)
    cut = data.draw(st.integers(0, len(whole)))
    given_before = dict.fromkeys(PLACES, 0)
    for one in whole[:cut]:
        given_before[one.context, one.partition] = one.offset + 1

    rest = merged({place: events[given_before[place] :] for place, events in log.items()})

    assert whole[:cut] + rest == whole


def test_nothing_is_given_while_an_earlier_event_may_come() -> None:
    here, there = PLACES[:2]
    merge = Merge([here, there])
    merge.add(here, [event(here, 0, 5), event(here, 1, 9)])

    before = merge.take(10)
    merge.add(there, [event(there, 0, 7)])
    between = merge.take(10)
    merge.end(there)
    after = merge.take(10)

    assert before == []
    assert [one.timestamp_ms for one in between] == [5, 7]
    assert [one.timestamp_ms for one in after] == [9]


def test_what_an_ended_place_gives_is_merged_as_it_comes() -> None:
    here, there = PLACES[:2]
    merge = Merge([here, there])
    for place in (here, there):
        merge.end(place)
    merge.add(there, [event(there, 0, 7)])
    merge.add(here, [event(here, 0, 8)])

    assert [one.timestamp_ms for one in merge.take(10)] == [7, 8]
    assert merge.at_end
