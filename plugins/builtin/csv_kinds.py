"""What kind a column of text has: int, float or text, the first that all its values have.

| decimal | whole numbers         | with a fraction               |
|---------|-----------------------|-------------------------------|
| `.`     | `1234`                | `1234.5`, `1e3`               |
| `,`     | `1234`, `1.234`       | `1234,5`, `1.234,5`, `1 234,5` |
"""

import re
from collections.abc import Callable, Sequence

Parse = Callable[[str], object]

# A leading zero marks a code, not a number: '007' stays text.
_INT = re.compile(r"[+-]?(?:0|[1-9]\d*)", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_SEPARATED = r"[1-9]\d{0,2}(?:([. \u00a0\u202f])\d{3})(?:\1\d{3})*"
_COMMA_INT = re.compile(rf"[+-]?(?:0|{_SEPARATED}|[1-9]\d*)", re.ASCII)
_COMMA_FLOAT = re.compile(
    rf"[+-]?(?:(?:0|{_SEPARATED}|[1-9]\d*)(?:,\d*)?|,\d+)(?:[eE][+-]?\d+)?", re.ASCII
)
_INT64 = 2**63
_SHORT = 18
"""Characters that stay below 2^63 whatever they are."""
_PLAIN = str.maketrans({".": None, " ": None, "\u00a0": None, "\u202f": None, ",": "."})


class Column:
    """One column's kind so far; `take` every value, then `parse` turns them into what they are."""

    def __init__(self, *, decimal: str, nulls: Sequence[str] = (), text: bool = False) -> None:
        self._kinds = _KINDS[decimal]
        self._nulls = frozenset(["", *nulls])
        self._kind = len(self._kinds) if text else 0

    def take(self, value: str) -> None:
        """Widen the kind until it holds this value too."""
        if value in self._nulls:
            return
        while self._kind < len(self._kinds) and not self._kinds[self._kind][0](value):
            self._kind += 1

    def parser(self) -> Parse:
        """What turns a text into the column's kind, or null."""
        nulls = self._nulls
        if self._kind == len(self._kinds):
            return lambda value: None if value in nulls else value
        parse = self._kinds[self._kind][1]
        return lambda value: None if value in nulls else parse(value)


def _is_int(value: str) -> bool:
    return _INT.fullmatch(value) is not None and _fits(value)


def _is_float(value: str) -> bool:
    return _FLOAT.fullmatch(value) is not None


def _is_comma_int(value: str) -> bool:
    return _COMMA_INT.fullmatch(value) is not None and _fits(value.translate(_PLAIN))


def _is_comma_float(value: str) -> bool:
    return _COMMA_FLOAT.fullmatch(value) is not None


def _fits(digits: str) -> bool:
    return len(digits) <= _SHORT or -_INT64 <= int(digits) < _INT64


_KINDS: dict[str, Sequence[tuple[Callable[[str], bool], Parse]]] = {
    ".": [(_is_int, int), (_is_float, float)],
    ",": [
        (_is_comma_int, lambda value: int(value.translate(_PLAIN))),
        (_is_comma_float, lambda value: float(value.translate(_PLAIN))),
    ],
}
