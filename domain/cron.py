"""Cron expressions of five fields, read strictly, and the wall-clock minutes that they name.

minute 0-59 · hour 0-23 · day of the month 1-31 · month 1-12 or jan-dec · day of the week 0-7 or sun-sat

A field is `*` or a list of numbers and ranges; `*` and a range may have a step: `*/15`, `9-17/2`.
What cron programs read in different ways is refused: `5/15` (from 5 on, or 5 alone), `5-5`, `fri-mon`,
`@daily`, and a day field with a star and a step beside another restricted one.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

MAX_CHARACTERS = 1_000

_PART = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d{1,4}))?", re.ASCII)
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAY = timedelta(days=1)


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    end: int
    """Where `*` ends."""
    names: tuple[str, ...] = ()
    """Of the values from `low` on."""


_MONTHS = "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"
_FIELDS = (
    _Field("minute", 0, 59, 59),
    _Field("hour", 0, 23, 23),
    _Field("day of the month", 1, 31, 31),
    _Field("month", 1, 12, 12, _MONTHS),
    # Sunday is 0 and 7; a star with a step counts it once.
    _Field("day of the week", 0, 7, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """`times` = (hour, minute) in order; weekdays from Sunday = 0.

    `any_of_days` = one of the two day fields is enough.
    """

    times: tuple[tuple[int, int], ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_of_days: bool

    def first_from(self, start: datetime) -> datetime:
        """The first minute named at or after `start`, a wall-clock time in whole minutes."""
        day = start.date()
        if self._is_on(day):
            found = bisect_left(self.times, (start.hour, start.minute))
            if found < len(self.times):
                return _at(day, *self.times[found])
        return _at(self._day(day + _DAY, 1), *self.times[0])

    def last_to(self, end: datetime) -> datetime:
        """The last minute named at or before `end`, a wall-clock time in whole minutes."""
        day = end.date()
        if self._is_on(day):
            found = bisect_right(self.times, (end.hour, end.minute))
            if found:
                return _at(day, *self.times[found - 1])
        return _at(self._day(day - _DAY, -1), *self.times[-1])

    def _day(self, day: date, step: int) -> date:
        """The next named day, going forth (1) or back (-1); `day` itself where it is named."""
        while not self._is_on(day):
            if day.month in self.months:
                day += step * _DAY
            elif step > 0:
                day = (day.replace(day=28) + 4 * _DAY).replace(day=1)
            else:
                day = day.replace(day=1) - _DAY
        return day

    def _is_on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.any_of_days else of_month and of_week


@lru_cache(maxsize=1_024)
def parse_cron(text: str) -> Cron:
    """What an expression names. Raises ValueError that says what is wrong with which field."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"over {MAX_CHARACTERS} characters")
    parts = text.split()
    if len(parts) != len(_FIELDS):
        what = "; write the five fields out" if text.startswith("@") else ""
        raise ValueError(
            f"{len(parts)} fields; there must be five: "
            f"minute, hour, day of the month, month, day of the week{what}"
        )
    values = [frozenset(_values(*both)) for both in zip(_FIELDS, parts, strict=True)]
    minutes, hours, days, months, weekdays = values
    weekdays = frozenset(day % 7 for day in weekdays)
    # As in every cron: two restricted day fields name the days of either.
    either = "*" not in (parts[2], parts[4])
    if either and (parts[2].startswith("*") or parts[4].startswith("*")):
        raise ValueError(
            "both day fields are restricted and one starts with a star; cron programs differ on "
            "whether one of them is enough; write the days as a list"
        )
    if not either and all(min(days) > _LONGEST_MONTHS[month - 1] for month in months):
        raise ValueError(f"no month named has a day {min(days)}; it would never run")
    times = tuple(sorted((hour, minute) for hour in hours for minute in minutes))
    return Cron(times, days, months, weekdays, either)


def _values(field: _Field, text: str) -> Iterator[int]:
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            raise ValueError(
                f"{field.name} {text!r}; it is *, a number, a range, each with a step or not, "
                "or a list of them"
            )
        yield from _of_part(field, part, *found.groups())


def _of_part(
    field: _Field, part: str, star: str | None, first: str, last: str | None, step: str | None
) -> Iterator[int]:
    if step is not None and not (star or last):
        raise ValueError(
            f"{field.name} {part!r}; cron programs read a step after a single number in different "
            f"ways; write {first} alone, or a range as {field.low}-{field.end}/{step}"
        )
    low = field.low if star else _value(field, first)
    high = field.end if star else low if last is None else _value(field, last)
    if last is not None and low >= high:
        raise ValueError(
            f"{field.name} {part!r}; a range goes from the smaller to the larger value; "
            "write two ranges with a comma, or the number alone"
        )
    every = 1 if step is None else int(step)
    if not 1 <= every <= max(high - low, 1):
        raise ValueError(f"{field.name} {part!r}; a step here is 1 to {max(high - low, 1)}")
    return iter(range(low, high + 1, every))


def _value(field: _Field, text: str) -> int:
    if text.lower() in field.names:
        return field.low + field.names.index(text.lower())
    if not (text.isdecimal() and len(text) <= 2 and field.low <= int(text) <= field.high):
        names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
        raise ValueError(f"{field.name} {text!r}; it must be {field.low} to {field.high}{names}")
    return int(text)


def _at(day: date, hour: int, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute)
