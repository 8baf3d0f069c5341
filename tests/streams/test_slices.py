"""Pieces of one aggregate's events, by version and by time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.memory_stream_index import MemoryStreamIndex
from streams.records import EventRecord
from streams.slices import MOVED, Cut, slice_of, version_at
from streams.times import begun_ms, first_ms

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 123_400, tzinfo=UTC)


def index_of(times: list[int]) -> MemoryStreamIndex:
    """An aggregate `a` whose versions have these times."""
    index = MemoryStreamIndex()
    for version, at in enumerate(times, 1):
        index.append([EventRecord("pipeline", "a", version, 0, version, at, b"", {})])
    return index


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(-1, 51))
def test_an_aggregate_stood_where_its_last_event_of_the_time_was(
    times: list[int], at_ms: int
) -> None:
    index = index_of(sorted(times))

    assert version_at(index, "pipeline", "a", at_ms) == sum(time <= at_ms for time in times)


@given(st.integers(1, 60), st.integers(1, MOVED - 1), st.data())
def test_events_written_again_later_do_not_cut_history_short(
    length: int, moved: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, length - 1))
    times = [1_000 if first <= n < first + moved else n for n in range(length)]
    index = index_of(times)
    last_kept = max((n + 1 for n, time in enumerate(times) if time < 1_000), default=0)

    assert version_at(index, "pipeline", "a", 999) == last_kept


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (Cut(), [1, 2, 3, 4, 5]),
        (Cut(from_version=4), [4, 5]),
        (Cut(from_version=-3, to_version=2), [1, 2]),
        (Cut(from_version=2, to_version=4, limit=2), [2, 3]),
        (Cut(from_version=2, at_ms=30), [2, 3]),
        (Cut(to_version=2, at_ms=30), [1, 2]),
        (Cut(from_version=4, at_ms=30), []),
        (Cut(limit=0), []),
    ],
)
def test_a_cut_is_by_version_and_by_time(cut: Cut, expected: list[int]) -> None:
    found = slice_of(index_of([10, 20, 30, 40, 50]), "pipeline", "a", cut)

    assert [event.version for event in found.events] == expected
    assert found.version == (5 if cut.at_ms is None else 3)


def test_moments_between_milliseconds_count_for_the_side_they_are_asked_for() -> None:
    whole = begun_ms(MOMENT)

    assert first_ms(MOMENT) == whole + 1
    assert begun_ms(MOMENT - timedelta(microseconds=400)) == whole
    assert first_ms(MOMENT - timedelta(microseconds=400)) == whole
    assert first_ms(datetime.max.replace(tzinfo=UTC)) == 253_402_300_800_000
