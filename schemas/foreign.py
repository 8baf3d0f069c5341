"""Avro through fastavro: what other schemas wrote, and values that the compiled encoder refused.

writer's schema ──► resolved into the committed one ──► plain data ──► dataclass
"""

import dataclasses
import io
import json
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import fastavro

from schemas import catalogue

MAX_HEIGHT = 64
"""Levels of a schema; fastavro kills the process where a record is nested 20,000 deep (1.13.1)."""

Convert = Callable[[Any], Any]


def reader(schema: Any, cls: type) -> Callable[[bytes, int], tuple[Any, int]]:
    """Reads bodies of `schema` (see `parsed`) as `cls`: (bytes, offset) → (message, offset)."""
    ours, (_, from_plain) = _committed(cls), _converters(cls)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        body = io.BytesIO(data)
        body.seek(at)
        found = fastavro.schemaless_reader(
            body, schema, ours, return_record_name=True, return_record_name_override=True
        )
        return from_plain(found), body.tell()

    return read


def encode(message: Any) -> bytes:
    """The body of a record of the catalogue. Raises with the name of a field that does not fit."""
    cls: Any = type(message)
    out = io.BytesIO()
    to_plain, _ = _converters(cls)
    fastavro.schemaless_writer(out, _committed(cls), to_plain(message))
    return out.getvalue()


def parsed(text: str) -> Any:
    """What `reader` takes.

    Raises whatever the text brings about, and ValueError for a schema whose records can take
    time or stack without taking bytes: one that contains itself, or items of no bytes.
    """
    schema = fastavro.parse_schema(json.loads(text))
    if isinstance(schema, dict):
        _height(schema, schema.get("__named_schemas", {}), {})
    return schema


@cache
def _committed(cls: type) -> Any:
    return fastavro.parse_schema(json.loads(catalogue.committed(catalogue.full_names()[cls])))


# ── schemas of others ────────────────────────────────────────────────────────────────────


def _height(schema: Any, named: Mapping[str, Any], known: dict[str, int]) -> int:
    """How many levels a schema has; each name is looked at once."""
    if isinstance(schema, list):
        return _above([branch for branch in schema if branch != "null"], named, known)
    if isinstance(schema, str):
        if schema == "null":
            raise ValueError("a value of no bytes; null can only be one of several types")
        return _height(named[schema], named, known) if schema in named else 0
    name = schema.get("name", "")
    if name in known:
        return known[name]
    if name:
        known[name] = MAX_HEIGHT  # met again below itself, it is too high
    height = _above(_inside(schema), named, known)
    if name:
        known[name] = height
    return height


def _above(inner: Sequence[Any], named: Mapping[str, Any], known: dict[str, int]) -> int:
    height = 1 + max((_height(schema, named, known) for schema in inner), default=0)
    if height > MAX_HEIGHT:
        raise ValueError(f"nested more than {MAX_HEIGHT} deep")
    return height


def _inside(schema: Mapping[str, Any]) -> Sequence[Any]:
    match schema["type"]:
        case "record" | "error":
            return [field["type"] for field in schema["fields"]] or ["null"]
        case "array":
            return [schema["items"]]
        case "map":
            return [schema["values"]]
        case "fixed" if schema["size"] == 0:
            return ["null"]
        case "null":
            return ["null"]
        case _:
            return []


# ── plain data ───────────────────────────────────────────────────────────────────────────


def _same(value: Any) -> Any:
    return value


@cache
def _converters(hint: Any) -> tuple[Convert, Convert]:
    """(to plain data, from plain data) for a type; `_same` where nothing is to do."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _converters(arguments[0])
    if origin is tuple:
        to_item, from_item = _converters(arguments[0])
        return lambda v: [to_item(i) for i in v], lambda v: tuple([from_item(i) for i in v])
    if origin is Mapping:
        to_value, from_value = _converters(arguments[1])
        return (
            lambda v: {key: to_value(i) for key, i in v.items()},
            lambda v: {key: from_value(i) for key, i in v.items()},
        )
    if origin in (Union, types.UnionType) and arguments[1:] != (type(None),):
        return _union_converters(arguments)
    if origin in (Union, types.UnionType):
        to_some, from_some = _converters(arguments[0])
        return (
            lambda v: None if v is None else to_some(v),
            lambda v: None if v is None else from_some(v),
        )
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda v: v.value, hint
    if dataclasses.is_dataclass(hint):
        return _record_converters(hint)
    return _same, _same


def _union_converters(branches: Sequence[Any]) -> tuple[Convert, Convert]:
    """A value as (record name, its data): by its fields alone it could pass for another type's."""
    names = {cls: f"{catalogue.namespace(cls)}.{cls.__name__}" for cls in branches}
    to_data = {cls: _converters(cls)[0] for cls in branches}
    from_data = {name: _converters(cls)[1] for cls, name in names.items()}
    return (
        lambda v: (names[type(v)], to_data[type(v)](v)),
        lambda v: from_data[v[0]](v[1]),
    )


def _record_converters(cls: Any) -> tuple[Convert, Convert]:
    hints = get_type_hints(cls, include_extras=True)
    fields = [(f.name, *_converters(hints[f.name])) for f in dataclasses.fields(cls)]

    def to_plain(value: Any) -> dict[str, Any]:
        return {name: convert(getattr(value, name)) for name, convert, _ in fields}

    def from_plain(value: Mapping[str, Any]) -> Any:
        return cls(*[convert(value[name]) for name, _, convert in fields])

    return to_plain, from_plain
