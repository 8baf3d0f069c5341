"""Whether each value of a record is one that its field can hold: asked where encoding failed, and of
what fastavro built. Nothing is converted: 1.7 is no int, 1 is no boolean, a text is no list."""

import dataclasses
import types
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

_BITS = {int: 32, Annotated[int, "long"]: 64}


def check(message: Any) -> None:
    """Raises TypeError, ValueError or OverflowError with the place of a value that does not fit."""
    _check_record(type(message), message, "")


def _check(hint: Any, value: Any, place: str) -> None:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _BITS:
        _check_whole(value, _BITS[hint], place)
    elif hint is float:
        _check_float(value, place)
    elif origin is tuple:
        _check_kind(value, (tuple, list), "a list", place)
        for number, item in enumerate(value):
            _check(arguments[0], item, f"{place}[{number}]")
    elif origin is Mapping:
        _check_kind(value, Mapping, "a map", place)
        for key, item in value.items():
            _check(str, key, f"the key {key!r} of {place}")
            _check(arguments[1], item, f"{place}.{key}")
    elif origin in (Union, types.UnionType):
        _check_branch(arguments, value, place)
    elif dataclasses.is_dataclass(hint):
        _check_record(hint, value, place)
    else:
        _check_leaf(hint, value, place)


def _check_record(cls: Any, value: Any, place: str) -> None:
    _check_kind(value, cls, cls.__name__, place or cls.__name__)
    for name, hint in _hints(cls):
        _check(hint, getattr(value, name), f"{place}.{name}" if place else name)


@cache
def _hints(cls: Any) -> list[tuple[str, Any]]:
    hints = get_type_hints(cls, include_extras=True)
    return [(field.name, hints[field.name]) for field in dataclasses.fields(cls)]


def _check_branch(branches: tuple[Any, ...], value: Any, place: str) -> None:
    if branches[1:] == (type(None),):
        if value is not None:
            _check(branches[0], value, place)
        return
    names = " or ".join(branch.__name__ for branch in branches)
    _check_kind(value, branches, names, place)
    _check_record(type(value), value, place)


def _check_whole(value: Any, bits: int, place: str) -> None:
    if type(value) is not int:
        raise _wrong(value, f"a whole number of {bits} bits", place)
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise OverflowError(f"{place}: {value} is over {bits} bits")


def _check_float(value: Any, place: str) -> None:
    if type(value) not in (float, int):
        raise _wrong(value, "a number", place)
    try:
        float(value)
    except OverflowError as error:
        raise OverflowError(f"{place}: {error}") from error


def _check_leaf(cls: Any, value: Any, place: str) -> None:
    _check_kind(value, cls, "a text" if cls is str else cls.__name__, place)
    if isinstance(value, str) and not issubclass(cls, Enum):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{place}: half of a surrogate pair is no character") from error
    if isinstance(value, datetime) and value.tzinfo is None:
        raise TypeError(f"{place}: {value} does not say in which zone")


def _check_kind(value: Any, kind: Any, name: str, place: str) -> None:
    if not isinstance(value, kind):
        raise _wrong(value, name, place)


def _wrong(value: Any, wanted: str, place: str) -> TypeError:
    return TypeError(
        f"{place}: {repr(value)[:40]} is a {type(value).__name__}; it must be {wanted}"
    )
