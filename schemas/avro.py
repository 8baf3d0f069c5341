"""Avro schema of a dataclass, in the order of its fields.

str int float bool bytes → string int double boolean bytes     Annotated[int, "long"] → long
datetime → timestamp-micros   Enum → enum   tuple[T, ...] → array   T | None → [null, T]
"""

import dataclasses
import types
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

Schema = dict[str, Any] | list[Any] | str

_PRIMITIVES: dict[type, Schema] = {
    str: "string",
    int: "int",
    float: "double",
    bool: "boolean",
    bytes: "bytes",
    datetime: {"type": "long", "logicalType": "timestamp-micros"},
}


def schema_of(cls: type, namespaces: dict[type, str]) -> dict[str, Any]:
    """The record schema of dataclass `cls`; `namespaces` gives each named type its namespace.

    Raises TypeError for a type that has no Avro form here.
    """
    schema = _named(cls, namespaces, set())
    assert isinstance(schema, dict)
    return schema


def _of(hint: Any, namespaces: dict[type, str], seen: set[str]) -> Schema:
    if hint in _PRIMITIVES:
        return _PRIMITIVES[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        assert arguments == (int, "long"), hint
        return "long"
    if origin is tuple and arguments[1:] == (...,):
        return {"type": "array", "items": _of(arguments[0], namespaces, seen)}
    if origin in (Union, types.UnionType) and len(arguments) == 2 and arguments[1] is type(None):
        return ["null", _of(arguments[0], namespaces, seen)]
    if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or issubclass(hint, Enum)):
        return _named(hint, namespaces, seen)
    raise TypeError(f"{hint!r} has no Avro form")


def _named(cls: type, namespaces: dict[type, str], seen: set[str]) -> Schema:
    full_name = f"{namespaces[cls]}.{cls.__name__}"
    if full_name in seen:
        return full_name
    seen.add(full_name)
    head = {"name": cls.__name__, "namespace": namespaces[cls]}
    if issubclass(cls, Enum):
        symbols = [member.value for member in cls]
        # The default lets an older reader meet a newer symbol without failing.
        return {"type": "enum", **head, "symbols": symbols, "default": symbols[0]}
    assert dataclasses.is_dataclass(cls), cls
    hints = get_type_hints(cls, include_extras=True)
    fields: list[dict[str, Any]] = []
    for field in dataclasses.fields(cls):
        schema = _of(hints[field.name], namespaces, seen)
        default = {"default": None} if isinstance(schema, list) else {}
        fields.append({"name": field.name, "type": schema, **default})
    return {"type": "record", **head, "fields": fields}
