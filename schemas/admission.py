"""Which schemas of others are read at all: those whose bodies cost time and memory as they cost bytes.

text ─► 64 KiB ─► what reading needs, and nothing else ─► fastavro ─► 32 levels, no record in itself,
                  names, 500 fields                                   no item of no bytes
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import fastavro

MAX_BYTES = 64 * 1024
MAX_HEIGHT = 32
"""Levels of a schema; fastavro kills the process where a record is nested 20,000 deep (1.13.1)."""
MAX_FIELDS = 500
MAX_LONE = 4
"""Records of one field within each other: fastavro took 6 s for 500 KB of 28 levels of them."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

_PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
_TIMES = {"timestamp-micros", "timestamp-millis"}
"""The only logical types that our records have; others make fastavro build values of other kinds."""

Named = Mapping[str, Any]


def admitted(text: str) -> Any:
    """The schema in `text` as fastavro takes it, without what reading does not need.

    Raises ValueError, which says what is wrong, or whatever else the text brings about.
    """
    size = len(text.encode())
    if size > MAX_BYTES:
        raise ValueError(f"{size} bytes; at most {MAX_BYTES} are allowed")
    sifted = _Sieve().sift(json.loads(text), 1)
    schema = fastavro.parse_schema(sifted)
    named = named_in(schema)
    _height(schema, named, {})
    for one in named.values():
        _check_lone(one, named)
    return schema


def named_in(schema: Any) -> Named:
    """The types that a schema of `admitted` names, by their full names."""
    found: Named = schema.get("__named_schemas", {}) if isinstance(schema, dict) else {}
    return found


def inside(schema: Named) -> Sequence[Any]:
    """The schemas that values of a complex one contain."""
    match schema["type"]:
        case "record" | "error":
            return [field["type"] for field in schema["fields"]]
        case "array":
            return [schema["items"]]
        case "map":
            return [schema["values"]]
        case _:
            return []


# ── what stands in the text ──────────────────────────────────────────────────────────────


class _Sieve:
    """Takes over what reading needs: fastavro believes what it finds under names of its own."""

    def __init__(self) -> None:
        self._fields = 0

    def sift(self, schema: Any, level: int) -> Any:
        """The schema alone. Raises ValueError for what is none, or too large."""
        if level > MAX_HEIGHT:
            raise _too_high()
        match schema:
            case str():
                return schema
            case list():
                if any(isinstance(branch, list) for branch in schema):
                    raise ValueError("a union stands directly in a union")
                return [self.sift(branch, level + 1) for branch in schema]
            case {"type": "record" | "error", "fields": list(fields)}:
                self._count(fields)
                return self._named(schema) | {"fields": [self._field(f, level) for f in fields]}
            case {"type": "enum", "symbols": list(symbols)}:
                return self._named(schema) | {"symbols": [_name(symbol) for symbol in symbols]}
            case {"type": "fixed", "size": int(size)} if not isinstance(size, bool):
                return self._named(schema) | {"size": size}
            case {"type": "array", "items": items}:
                return {"type": "array", "items": self.sift(items, level + 1)}
            case {"type": "map", "values": values}:
                return {"type": "map", "values": self.sift(values, level + 1)}
            case {"type": "long", "logicalType": str(logical)} if logical in _TIMES:
                return {"type": "long", "logicalType": logical}
            case {"type": str(kind)}:
                return kind
            case {"type": inner}:
                return self.sift(inner, level + 1)
            case _:
                raise ValueError(f"{str(schema)[:80]} is no schema")

    def _count(self, fields: list[Any]) -> None:
        self._fields += len(fields)
        if self._fields > MAX_FIELDS:
            raise ValueError(f"over {MAX_FIELDS} fields")

    def _field(self, field: Any, level: int) -> Any:
        match field:
            case {"name": name, "type": kind}:
                return {"name": _name(name), "type": self.sift(kind, level + 1)}
            case _:
                raise ValueError(f"{str(field)[:80]} is no field")

    def _named(self, schema: Named) -> dict[str, Any]:
        found = {"type": schema["type"], "name": _full_name(schema.get("name"))}
        space = schema.get("namespace")
        return found if space in (None, "") else found | {"namespace": _full_name(space)}


def _full_name(name: Any) -> str:
    parts = name.split(".") if isinstance(name, str) else [name]
    return ".".join(_name(part) for part in parts)


def _name(name: Any) -> str:
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise ValueError(f"{str(name)[:80]!r} is no name")
    return name


# ── what values of it can be ─────────────────────────────────────────────────────────────


def _height(schema: Any, named: Named, known: dict[str, int]) -> int:
    """How many levels a schema has; each name is looked at once."""
    if isinstance(schema, list):
        # The number of a branch takes a byte.
        return _above([branch for branch in schema if not _is_empty(branch, named)], named, known)
    if _is_empty(schema, named):
        # Also as a field: 500 of them would cost 500 calls for each byte of an array.
        raise ValueError("a value of no bytes can only be one of several types")
    if isinstance(schema, str):
        return _height(named[schema], named, known) if schema in named else 0
    name = schema.get("name", "")
    if name in known:
        return known[name]
    if name:
        known[name] = MAX_HEIGHT  # met again below itself, it is too high
    height = _above(inside(schema), named, known)
    if name:
        known[name] = height
    return height


def _check_lone(schema: Any, named: Named) -> None:
    """Of a schema without circles."""
    count = 0
    while len(fields := schema.get("fields", ())) == 1:
        count += 1
        if count > MAX_LONE:
            raise ValueError(f"over {MAX_LONE} records of one field within each other")
        inner = fields[0]["type"]
        schema = named.get(inner, {}) if isinstance(inner, str) else inner
        if isinstance(schema, list):
            return


def _is_empty(schema: Any, named: Named) -> bool:
    """Null, a record without fields and a fixed of no length; a record of empty ones is found out below."""
    if isinstance(schema, str):
        schema = named.get(schema, schema)
    if isinstance(schema, str):
        return schema == "null"
    return isinstance(schema, dict) and (
        schema.get("fields") == [] or (schema["type"] == "fixed" and schema["size"] < 1)
    )


def _above(inner: Sequence[Any], named: Named, known: dict[str, int]) -> int:
    height = 1 + max((_height(schema, named, known) for schema in inner), default=0)
    if height > MAX_HEIGHT:
        raise _too_high()
    return height


def _too_high() -> ValueError:
    return ValueError(f"nested more than {MAX_HEIGHT} deep")
