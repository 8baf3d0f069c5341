"""A step's configuration, read field by field; what is wrong is named with what is required."""

from collections.abc import Mapping, Sequence
from typing import NoReturn, cast

from plugins.expressions import problem
from plugins.steps import StepFailed

_MISSING = object()


class Config:
    """The rendered `with` of one step; every method raises `StepFailed` (`plugin.bad_config`)."""

    def __init__(self, fields: Mapping[str, object], *known: str) -> None:
        """Take the fields; one that is not among `known` is refused, so that no typo is ignored."""
        self._fields = fields
        for name in fields:
            if name not in known:
                raise bad_config(f"unknown field '{name}'; known: {', '.join(known)}")

    def has(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str, default: str | None = None) -> str:
        value = self._fields.get(name, default)
        if not isinstance(value, str) or not value:
            self._refuse(name, "text is required")
        return value

    def character(self, name: str, default: str | None = None) -> str:
        value = self.text(name, default)
        if len(value) != 1 or value in "\r\n":
            self._refuse(name, 'one character is required; a tab is "\\t" in double quotes')
        return value

    def whole(self, name: str) -> int:
        """A number from 0 on; 0 where it is absent."""
        value = self._fields.get(name, 0)
        if type(value) is not int or value < 0:
            self._refuse(name, "a whole number from 0 on is required")
        return value

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        value = self._fields.get(name, default)
        if value not in allowed:
            self._refuse(name, f"one of {', '.join(allowed)} is required")
        return cast(str, value)

    def flag(self, name: str) -> bool:
        value = self._fields.get(name, False)
        if not isinstance(value, bool):
            self._refuse(name, "true or false is required")
        return value

    def names(self, name: str, *, required: bool = False) -> list[str]:
        """A list of different column names; empty where it is absent and not required."""
        value = self._fields.get(name, _MISSING if required else [])
        is_list = isinstance(value, list) and all(isinstance(item, str) for item in value)
        if not is_list or (required and not value):
            self._refuse(name, "a list of column names is required")
        columns = cast(list[str], value)
        if len(set(columns)) < len(columns):
            self._refuse(name, "every column may be named once")
        return columns

    def texts(self, name: str, *, required: bool = False) -> dict[str, str]:
        """A map from column names to texts."""
        value = self._fields.get(name, _MISSING if required else {})
        is_map = isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
        if not is_map or (required and not value):
            self._refuse(name, "a map from column names to texts is required")
        return cast(dict[str, str], value)

    def expression(self, name: str) -> str:
        """An expression over `row`."""
        text = self.text(name)
        check_expression(name, text)
        return text

    def value(self, name: str) -> object:
        """Any value that is there."""
        if name not in self._fields:
            raise bad_config(f"field '{name}' is missing")
        return self._fields[name]

    def _refuse(self, name: str, required: str) -> NoReturn:
        if name not in self._fields:
            raise bad_config(f"field '{name}' is missing; {required}")
        raise bad_config(f"field '{name}' is {str(self._fields[name])[:100]!r}; {required}")


def check_expression(name: str, text: str) -> None:
    """Raise `StepFailed` where the text is no expression over `row`."""
    found = problem(text, {"row"})
    if found is not None:
        raise bad_config(f"field '{name}' is {text[:100]!r}: {found}")


def bad_config(message: str) -> StepFailed:
    return StepFailed("plugin.bad_config", message)


def bad_data(message: str) -> StepFailed:
    return StepFailed("plugin.bad_data", message)
