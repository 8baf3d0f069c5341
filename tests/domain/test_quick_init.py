"""Quickly made dataclasses behave like any frozen one."""

from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest

from domain.quick_init import quick_init


@quick_init
@dataclass(frozen=True, slots=True)
class Place:
    name: str
    floor: int = 0


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    start: str
    end: str = "home"


def test_arguments_come_by_place_by_name_or_by_default() -> None:
    assert Place("a", 2) == Place(floor=2, name="a")
    assert Place("a").floor == 0
    assert Path(start="here").end == "home"


@pytest.mark.parametrize("arguments", [(), ("a", 1, 2)])
def test_too_few_and_too_many_arguments_are_type_errors(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        Place(*arguments)


def test_keyword_only_stays_keyword_only() -> None:
    by_place: Any = Path
    with pytest.raises(TypeError):
        by_place("here")


def test_it_stays_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Place("a").floor = 1  # type: ignore[misc]


def test_it_stays_a_dataclass() -> None:
    assert [f.name for f in fields(Place)] == ["name", "floor"]
    assert replace(Place("a"), floor=3) == Place("a", 3)
    assert len({Place("a"), Place("a"), Place("b")}) == 2
    assert repr(Place("a")) == "Place(name='a', floor=0)"


def test_a_default_factory_is_an_error_at_once() -> None:
    """It would be called once for all, not once for each."""
    with pytest.raises(AssertionError, match="stops has a default factory"):

        @quick_init
        @dataclass(frozen=True, slots=True)
        class Tour:
            stops: list[str] = field(default_factory=list)
