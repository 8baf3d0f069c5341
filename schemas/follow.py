"""Follows a body by its writer's schema and builds nothing: what fastavro reads then is sound.

fastavro takes numbers of any length, counts from the end for a branch of -1 and believes a block
that says how long it is. Of a schema from `admitted` a body costs at most two calls a byte here.
"""

from collections.abc import Callable, Sequence
from typing import Any

from schemas import wire
from schemas.admission import Named, inside, named_in

Follow = Callable[[bytes, int], int]
"""(bytes, offset) → offset behind the value; raises ValueError or IndexError."""


def follower(schema: Any) -> Follow:
    """Of a schema that `admitted` gave."""
    return _Maker(named_in(schema)).follow(schema)


class _Maker:
    def __init__(self, named: Named) -> None:
        self._named = named
        self._known: dict[str, Follow] = {}

    def follow(self, schema: Any) -> Follow:
        if isinstance(schema, list):
            return _union([self.follow(branch) for branch in schema])
        if isinstance(schema, str):
            return _PLAIN[schema] if schema in _PLAIN else self._by_name(schema)
        name = schema.get("name")
        if name is None:
            return self._made(schema)
        if name not in self._known:
            self._known[name] = self._made(schema)
        return self._known[name]

    def _by_name(self, name: str) -> Follow:
        return self._known[name] if name in self._known else self.follow(self._named[name])

    def _made(self, schema: Named) -> Follow:
        match schema["type"]:
            case "record" | "error":
                return _record([self.follow(kind) for kind in inside(schema)])
            case "array":
                return _blocks(self.follow(schema["items"]))
            case "map":
                return _blocks(_record([_text, self.follow(schema["values"])]))
            case "enum":
                return _symbol(len(schema["symbols"]))
            case "fixed":
                return _fixed(schema["size"])
            case kind:
                return self.follow(kind)


def _record(fields: Sequence[Follow]) -> Follow:
    if len(fields) == 1:
        # Or a byte within 32 records of one field would cost 32 calls.
        return fields[0]

    def follow(data: bytes, at: int) -> int:
        for field in fields:
            at = field(data, at)
        return at

    return follow


def _union(branches: Sequence[Follow]) -> Follow:
    def follow(data: bytes, at: int) -> int:
        number, at = wire.long(data, at)
        if not 0 <= number < len(branches):
            raise ValueError(f"branch {number} of {len(branches)}")
        return branches[number](data, at)

    return follow


def _blocks(item: Follow) -> Follow:
    def follow(data: bytes, at: int) -> int:
        while True:
            count, at = wire.long(data, at)
            if count == 0:
                return at
            length = None
            if count < 0:
                count = -count
                length, at = wire.size(data, at)
            # Every item has a byte at least.
            if count > len(data) - at:
                raise ValueError(f"{count} items in {len(data) - at} bytes")
            start = at
            for _ in range(count):
                at = item(data, at)
            if length not in (None, at - start):
                raise ValueError(f"a block of {at - start} bytes says that it has {length}")

    return follow


def _symbol(count: int) -> Follow:
    def follow(data: bytes, at: int) -> int:
        number, at = wire.long(data, at)
        if not 0 <= number < count:
            raise ValueError(f"symbol {number} of {count}")
        return at

    return follow


def _fixed(size: int) -> Follow:
    return lambda data, at: _within(data, at + size)


def _text(data: bytes, at: int) -> int:
    length, at = wire.size(data, at)
    return _within(data, at + length)


def _within(data: bytes, end: int) -> int:
    if end > len(data):
        raise ValueError(f"the body ends {end - len(data)} bytes too early")
    return end


def _truth(data: bytes, at: int) -> int:
    if data[at] > 1:
        raise ValueError(f"{data[at]} is neither true nor false")
    return at + 1


_PLAIN: dict[str, Follow] = {
    "null": lambda _, at: at,
    "boolean": _truth,
    "int": lambda data, at: wire.read_int(data, at)[1],
    "long": lambda data, at: wire.long(data, at)[1],
    "float": _fixed(4),
    "double": _fixed(8),
    "bytes": _text,
    "string": _text,
}
