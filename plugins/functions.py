"""The functions of the expression dialect, as one table: what is not in it is refused.

Every function can also be written as a method of its first argument: `row.date.substring(0, 7)`.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Year first, so that day and month cannot be taken for each other; real files also write slashes.
_DATE = re.compile(r"(\d{4})[-/](\d{2})(?:[-/](\d{2})(?:[T ](\d{2})(?::\d{2}.*)?)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Function:
    """Signature and meaning as the documentation shows them; `call` is None where CEL has it."""

    signature: str
    meaning: str
    call: Callable[..., object] | None = None


def _text(value: object, function: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{function} takes text, not {value!r}")
    return value


def _number(value: object, function: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{function} takes a number, not {value!r}")
    return value


def _substring(text: object, start: int, end: int | None = None) -> str:
    whole = _text(text, "substring")
    stop = len(whole) if end is None else end
    if not 0 <= start <= stop <= len(whole):
        raise ValueError(
            f"substring({start}, {stop}) of text with {len(whole)} characters: {whole!r}"
        )
    return whole[start:stop]


def _part_of_date(name: str, group: int) -> Callable[[object], int]:
    def part(date: object) -> int:
        match = _DATE.fullmatch(_text(date, name))
        if match is None or match[group] is None:
            raise ValueError(
                f"{name} takes a date like '2012-03-31' or '2012-03-31T14:00', not {date!r}"
            )
        return int(match[group])

    return part


def _round(number: object, digits: int = 0) -> float:
    return round(float(_number(number, "round")), digits)


def _size(value: object) -> int:
    if not isinstance(value, str | list | dict):
        raise TypeError(f"size takes text, a list or a map, not {value!r}")
    return len(value)


def _coalesce(*values: object) -> object:
    return next((value for value in values if value is not None), None)


FUNCTIONS: Mapping[str, Function] = {
    "int": Function("int(x)", "whole number of text or of a number, cut towards zero"),
    "double": Function("double(x)", "number with a fraction, of text or of a whole number"),
    "string": Function("string(x)", "text of a number or a boolean"),
    "has": Function("has(row.x)", "whether the field is there"),
    # The library's own counts the bytes of a text; CEL and everybody else count characters.
    "size": Function("size(x)", "length of text (characters), list or map", _size),
    "contains": Function("contains(text, part)", "whether the text contains the part"),
    "startsWith": Function("startsWith(text, part)", "whether the text starts with the part"),
    "endsWith": Function("endsWith(text, part)", "whether the text ends with the part"),
    "matches": Function("matches(text, pattern)", "whether the regular expression is found in it"),
    "substring": Function(
        "substring(text, start, end?)",
        "characters from start (first is 0) up to before end",
        _substring,
    ),
    "replace": Function(
        "replace(text, old, new)",
        "the text with each old part replaced",
        lambda text, old, new: _text(text, "replace").replace(old, new),
    ),
    "lower": Function("lower(text)", "in small letters", lambda text: _text(text, "lower").lower()),
    "upper": Function(
        "upper(text)", "in capital letters", lambda text: _text(text, "upper").upper()
    ),
    "trim": Function(
        "trim(text)", "without blanks around it", lambda text: _text(text, "trim").strip()
    ),
    "year": Function(
        "year(date)",
        "year of a date like '2012-03-31' or '2012/03/31 14:00'",
        _part_of_date("year", 1),
    ),
    "month": Function("month(date)", "month of a date, 1 to 12", _part_of_date("month", 2)),
    "day": Function("day(date)", "day of the month, 1 to 31", _part_of_date("day", 3)),
    "hour": Function("hour(date)", "hour of a date with time, 0 to 23", _part_of_date("hour", 4)),
    "abs": Function("abs(x)", "without its sign", lambda x: abs(_number(x, "abs"))),
    "floor": Function(
        "floor(x)", "next whole number below", lambda x: math.floor(_number(x, "floor"))
    ),
    "ceil": Function("ceil(x)", "next whole number above", lambda x: math.ceil(_number(x, "ceil"))),
    "round": Function("round(x, digits?)", "rounded, half to even, a double", _round),
    "coalesce": Function("coalesce(a, b, …)", "the first that is not null", _coalesce),
}

REPLACED: Mapping[str, str] = {"size": "flexcore_size"}
"""Functions of ours that CEL has under the same name, and the name under which it finds ours."""

OWN: Mapping[str, Callable[..., object]] = {
    REPLACED.get(name, name): function.call
    for name, function in FUNCTIONS.items()
    if function.call is not None
}
