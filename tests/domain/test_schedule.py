"""Schedules: times in a zone, over the clock's changes, and what becomes of times that passed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cron import parse_cron
from domain.definition import MAX_JSON_BYTES
from domain.schedule import (
    GRACE,
    MAX_CAUGHT_UP,
    MAX_SKIPPED,
    CatchUp,
    Due,
    Schedule,
    due,
    execution_id,
    last_time,
    next_time,
    schedule_problems,
)


def schedule(
    cron: str, zone: str = "UTC", catch_up: CatchUp = CatchUp.LATEST, input_json: str = "{}"
) -> Schedule:
    return Schedule(cron, zone, catch_up, input_json)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(of: Schedule, after: str, count: int) -> list[str]:
    found, at = [], utc(after)
    for _ in range(count):
        at = next_time(of, at)
        found.append(f"{at:%d %H:%M}")
    return found


# ── zones ────────────────────────────────────────────────────────────────────────────────


def test_a_time_is_meant_in_its_zone() -> None:
    daily = schedule("0 6 * * *", "Europe/Berlin")
    assert times(daily, "2026-01-01T12:00", 1) == ["02 05:00"]
    assert times(daily, "2026-07-01T12:00", 1) == ["02 04:00"]


def test_a_time_that_the_clock_leaves_out_is_moved_to_the_next_one_it_shows() -> None:
    """In Berlin, on 29 March 2026, 02:00 is 03:00, which is 01:00 UTC."""
    daily = schedule("30 2 * * *", "Europe/Berlin")
    assert times(daily, "2026-03-28T00:00", 3) == ["28 01:30", "29 01:00", "30 00:30"]


def test_all_times_in_the_gap_are_one_time() -> None:
    often = schedule("*/20 * * * *", "Europe/Berlin")
    assert times(often, "2026-03-29T00:30", 3) == ["29 00:40", "29 01:00", "29 01:20"]
    assert last_time(often, utc("2026-03-29T01:19")) == utc("2026-03-29T01:00")
    assert last_time(often, utc("2026-03-29T00:59")) == utc("2026-03-29T00:40")


def test_a_time_that_the_clock_shows_twice_is_the_first_of_both() -> None:
    """In Berlin, on 25 October 2026, 02:30 is 00:30 UTC and 01:30 UTC."""
    daily = schedule("30 2 * * *", "Europe/Berlin")
    assert times(daily, "2026-10-24T12:00", 2) == ["25 00:30", "26 01:30"]
    for later in ("2026-10-25T00:30", "2026-10-25T01:10", "2026-10-25T01:30"):
        assert times(daily, later, 1) == ["26 01:30"]
        assert last_time(daily, utc(later)) == utc("2026-10-25T00:30")


def test_an_hour_that_is_repeated_has_no_times_of_its_own() -> None:
    hourly = schedule("0 * * * *", "Europe/Berlin")
    assert times(hourly, "2026-10-24T22:30", 4) == ["24 23:00", "25 00:00", "25 02:00", "25 03:00"]
    assert last_time(hourly, utc("2026-10-25T01:59")) == utc("2026-10-25T00:00")


def test_a_day_that_a_country_left_out_is_moved_to_the_next() -> None:
    """Samoa went from 29 to 31 December 2011; midnight there is 10:00 UTC."""
    assert times(schedule("0 12 30 12 *", "Pacific/Apia"), "2011-12-01T00:00", 1) == ["30 10:00"]


def test_half_an_hour_of_summer_time() -> None:
    daily = schedule("15 2 * * *", "Australia/Lord_Howe")
    assert times(daily, "2026-10-03T12:00", 1) == ["03 15:30"]


ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "America/Sao_Paulo",
        "Asia/Tehran",
        "America/Nuuk",
    ]
)
CRONS = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "30 2 * * *",
        "0 0 * * *",
        "59 1,2,23 * * 0",
        "15 0-3 1-7 3,10,11 *",
        "0 0 29 2 *",
        "0 12 30 12 *",
        "*/30 2 * * sun",
        "0 3 1 * mon",
    ]
)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)) | (
    # Around the changes of Berlin and New York.
    st.sampled_from(
        ["2026-03-29T01:00", "2026-10-25T01:00", "2026-03-08T07:00", "2026-11-01T06:00"]
    )
    .map(utc)
    .flatmap(lambda at: st.integers(-9_000, 9_000).map(lambda s: at + timedelta(seconds=s)))
)


def shown(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@given(CRONS, ZONES, MOMENTS)
def test_the_next_time_lies_ahead_and_the_clock_shows_it(
    cron: str, zone: str, now: datetime
) -> None:
    of = schedule(cron, zone)
    found = next_time(of, now)
    assert found > now
    wall, before = shown(found, zone), shown(found - timedelta(seconds=1), zone)
    if wall - before == timedelta(seconds=1):
        assert parse_cron(cron).first_from(wall) == wall
    else:
        # The clock is set forward just then: over a time of the schedule, or to one.
        named = parse_cron(cron).first_from(before.replace(second=0) + timedelta(minutes=1))
        assert before < named <= wall


@given(CRONS, ZONES, MOMENTS, st.integers(0, 10**6))
def test_later_moments_have_no_earlier_times(
    cron: str, zone: str, now: datetime, seconds: int
) -> None:
    of = schedule(cron, zone)
    later = now + timedelta(seconds=seconds)
    assert next_time(of, later) >= next_time(of, now)
    assert last_time(of, later) >= last_time(of, now)


@given(CRONS, ZONES, MOMENTS)
def test_no_time_lies_between_the_last_and_the_next(cron: str, zone: str, now: datetime) -> None:
    of = schedule(cron, zone)
    last = last_time(of, now)
    assert last <= now
    assert next_time(of, last) == next_time(of, now)
    assert last_time(of, next_time(of, now)) == next_time(of, now)
    assert next_time(of, last - timedelta(microseconds=1)) == last


@given(ZONES, MOMENTS)
def test_every_minute_that_a_clock_shows_has_its_time(zone: str, start: datetime) -> None:
    start = start.replace(second=0, microsecond=0)
    of, end = schedule("* * * * *", zone), start + timedelta(hours=3)
    found, at = set(), next_time(of, start - timedelta(minutes=1))
    while at < end:
        found.add(shown(at, zone))
        at = next_time(of, at)
    clock = {shown(start + timedelta(minutes=n), zone) for n in range(180)}
    twice = {shown(start - timedelta(minutes=n), zone) for n in range(1, 1600)}
    assert clock - twice <= found <= clock


# ── what is due ──────────────────────────────────────────────────────────────────────────

HOURLY = schedule("0 * * * *")
NOON = utc("2026-03-01T12:00")


def hours(*of: int) -> tuple[datetime, ...]:
    return tuple(NOON + timedelta(hours=hour) for hour in of)


def test_a_time_is_due_from_its_moment_on_and_once() -> None:
    assert due(HOURLY, NOON, NOON + timedelta(minutes=59)) == Due((), 0)
    assert due(HOURLY, NOON, hours(1)[0]) == Due(hours(1), 0)
    assert due(HOURLY, hours(1)[0], NOON + timedelta(minutes=61)) == Due((), 0)


def test_of_times_that_passed_the_latest_runs() -> None:
    late = NOON + timedelta(hours=5, minutes=30)
    assert due(HOURLY, NOON, late) == Due(hours(5), 4)


def test_all_times_that_passed_run_in_their_order() -> None:
    late = NOON + timedelta(hours=3, minutes=30)
    assert due(replace(HOURLY, catch_up=CatchUp.ALL), NOON, late) == Due(hours(1, 2, 3), 0)


def test_of_very_many_times_that_passed_the_last_run_and_the_rest_is_counted() -> None:
    every = replace(HOURLY, catch_up=CatchUp.ALL)
    found = due(every, NOON, NOON + timedelta(hours=MAX_CAUGHT_UP + 7))
    assert (len(found.times), found.skipped) == (MAX_CAUGHT_UP, 7)
    assert found.times[-1] == NOON + timedelta(hours=MAX_CAUGHT_UP + 7)
    assert due(every, NOON, NOON + timedelta(days=3_650)).skipped == MAX_SKIPPED


def test_without_catching_up_a_time_that_passed_is_left_out() -> None:
    none = replace(HOURLY, catch_up=CatchUp.NONE)
    five = NOON + timedelta(hours=5)
    assert due(none, NOON, five + GRACE) == Due((five,), 4)
    assert due(none, NOON, five + GRACE + timedelta(seconds=1)) == Due((), 0)


def test_a_time_names_its_run() -> None:
    first = execution_id("p1", NOON)
    assert str(UUID(first)) == first
    assert execution_id("p1", NOON.astimezone(ZoneInfo("Asia/Tokyo"))) == first
    others = {execution_id("p2", NOON), execution_id("p1", NOON + timedelta(minutes=1))}
    assert first not in others
    assert execution_id("acme~p1", NOON).startswith("acme~")


# ── what is wrong ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (schedule("* * * *"), "schedule.cron: 4 fields"),
        (schedule("0 6 * * *", "Europe/Berlln"), "schedule.zone: there is no time zone"),
        (schedule("0 6 * * *", "Europe"), "schedule.zone: there is no time zone"),
        (schedule("0 6 * * *", "../../etc/passwd"), "schedule.zone: '../../etc/passwd' is no"),
        (schedule("0 6 * * *", "/etc/localtime"), "schedule.zone: '/etc/localtime' is no"),
        (schedule("0 6 * * *", "posix/Europe/Berlin"), "schedule.zone: 'posix/Europe/Berlin' is"),
        (schedule("0 6 * * *", "localtime"), "schedule.zone: 'localtime' is no time zone"),
        (schedule("0 6 * * *", ""), "schedule.zone: '' is no time zone"),
        (schedule("0 6 * * *", input_json="[]"), "schedule.input: it must be an object"),
        (schedule("0 6 * * *", input_json="{"), "schedule.input: no JSON that can be used"),
        (schedule("0 6 * * *", input_json='{"$blob": 1}'), "schedule.input: it holds a $blob"),
        (
            schedule("0 6 * * *", input_json=f'{{"a": "{"x" * MAX_JSON_BYTES}"}}'),
            "schedule.input: over 32768 bytes",
        ),
    ],
)
def test_what_is_wrong_with_a_schedule_is_named(of: Schedule, told: str) -> None:
    (found,) = schedule_problems(of)
    assert found.startswith(told)


@pytest.mark.parametrize("zone", ["UTC", "Etc/GMT+1", "America/Argentina/Buenos_Aires", "EST5EDT"])
def test_zones_are_those_of_the_database(zone: str) -> None:
    assert list(schedule_problems(schedule("0 6 * * *", zone))) == []
