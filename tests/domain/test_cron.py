"""Cron expressions: what is read, what is refused, and that croniter reads the same."""

import re
from datetime import datetime, timedelta

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from domain.cron import parse_cron

MONDAY = datetime(2026, 3, 2, 12)


def following(text: str, count: int = 3, start: datetime = MONDAY) -> list[str]:
    found, at = [], start
    for _ in range(count):
        at = parse_cron(text).first_from(at)
        found.append(f"{at:%a %d %b %H:%M}")
        at += timedelta(minutes=1)
    return found


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("* * * * *", ["Mon 02 Mar 12:00", "Mon 02 Mar 12:01", "Mon 02 Mar 12:02"]),
        ("*/25 * * * *", ["Mon 02 Mar 12:00", "Mon 02 Mar 12:25", "Mon 02 Mar 12:50"]),
        ("0 6 * * 1-5", ["Tue 03 Mar 06:00", "Wed 04 Mar 06:00", "Thu 05 Mar 06:00"]),
        ("0 6 * * SAT,sun", ["Sat 07 Mar 06:00", "Sun 08 Mar 06:00", "Sat 14 Mar 06:00"]),
        ("0 6 * * 7", ["Sun 08 Mar 06:00", "Sun 15 Mar 06:00", "Sun 22 Mar 06:00"]),
        ("0 0 31 * *", ["Tue 31 Mar 00:00", "Sun 31 May 00:00", "Fri 31 Jul 00:00"]),
        ("0 0 1 jan-mar/2 *", ["Fri 01 Jan 00:00", "Mon 01 Mar 00:00", "Sat 01 Jan 00:00"]),
        ("0 9-17/4 * * *", ["Mon 02 Mar 13:00", "Mon 02 Mar 17:00", "Tue 03 Mar 09:00"]),
        # Two restricted day fields name the days of either.
        ("0 0 5 * tue", ["Tue 03 Mar 00:00", "Thu 05 Mar 00:00", "Tue 10 Mar 00:00"]),
    ],
)
def test_the_minutes_that_an_expression_names(text: str, times: list[str]) -> None:
    assert following(text) == times


def test_a_leap_day_is_found_across_a_century_without_one() -> None:
    cron = parse_cron("0 0 29 2 *")
    assert cron.first_from(datetime(2096, 3, 1)) == datetime(2104, 2, 29)
    assert cron.last_to(datetime(2104, 2, 28)) == datetime(2096, 2, 29)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "0 fields; there must be five"),
        ("* * * *", "4 fields"),
        ("0 * * * * *", "6 fields"),
        ("@daily", "write the five fields out"),
        ("60 * * * *", "minute '60'; it must be 0 to 59"),
        ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "day of the month '0'; it must be 1 to 31"),
        ("* * * 13 *", "month '13'; it must be 1 to 12 or jan to dec"),
        ("* * * * 8", "day of the week '8'"),
        ("* * * mon *", "month 'mon'"),
        ("59/1 * * * *", "write 59 alone, or a range as 0-59/1"),
        ("5/15 * * * *", "write 5 alone, or a range as 0-59/15"),
        ("* * * * 1/2", "write 1 alone, or a range as 0-6/2"),
        ("*/0 * * * *", "a step here is 1 to 59"),
        ("*/60 * * * *", "a step here is 1 to 59"),
        ("5-5 * * * *", "a range goes from the smaller to the larger"),
        ("* * * * fri-mon", "a range goes from the smaller to the larger"),
        ("* * * * sat-sun", "a range goes from the smaller to the larger"),
        ("* * l * *", "day of the month 'l'"),
        ("* * * * 2#3", "day of the week '2#3'"),
        ("* * ? * *", "day of the month '?'"),
        ("-5 * * * *", "minute '-5'"),
        ("1, * * * *", "minute '1,'"),
        ("٣ * * * *", "minute '٣'"),
        ("0 0 */2 * mon", "one starts with a star"),
        ("0 0 1 * */2", "one starts with a star"),
        ("0 0 30 2 *", "it would never run"),
        ("0 0 31 4,6 *", "it would never run"),
        ("* " * 600, "over 1000 characters"),
    ],
)
def test_what_is_wrong_or_read_in_different_ways_is_refused(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=re.escape(what)):
        parse_cron(text)


# ── against croniter, which reads cron as most do ────────────────────────────────────────


def field(low: int, high: int, names: str = "") -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    pair = st.tuples(number, number).filter(lambda two: two[0] < two[1])
    ranges = pair.map(lambda two: f"{two[0]}-{two[1]}")
    stepped = pair.flatmap(
        lambda two: st.integers(1, two[1] - two[0]).map(lambda n: f"{two[0]}-{two[1]}/{n}")
    )
    stars = st.integers(1, high - low).map(lambda n: f"*/{n}")
    one = number.map(str) | ranges | stepped
    if names:
        one |= st.sampled_from(names.split())
    return st.just("*") | stars | st.lists(one, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(
    field(0, 59),
    field(0, 23),
    field(1, 31),
    field(1, 12, "jan FEB mar dec"),
    field(0, 6, "sun MON sat"),
).map(" ".join)
WALLS = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)).map(
    lambda at: at.replace(second=0, microsecond=0)
)


@given(EXPRESSIONS, WALLS)
def test_croniter_reads_the_same(text: str, start: datetime) -> None:
    try:
        cron = parse_cron(text)
    except ValueError:
        return
    theirs = croniter(text, start - timedelta(minutes=1), max_years_between_matches=100)
    assert cron.first_from(start) == theirs.get_next(datetime)
    theirs = croniter(text, start + timedelta(minutes=1), max_years_between_matches=100)
    assert cron.last_to(start) == theirs.get_prev(datetime)


@given(EXPRESSIONS)
def test_what_is_taken_here_croniter_takes_too(text: str) -> None:
    try:
        parse_cron(text)
    except ValueError:
        return
    assert croniter.is_valid(text)


@given(st.text(alphabet="0123456789*/-,? lwsunmonja#@", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        cron = parse_cron(text)
    except ValueError:
        return
    assert cron.first_from(MONDAY) >= MONDAY


def test_the_times_of_a_day_are_in_order() -> None:
    assert parse_cron("30,0 5,4 * * *").times == ((4, 0), (4, 30), (5, 0), (5, 30))
