"""Avro schema of a dataclass, in the order of its fields.

str int float bool bytes → string int double boolean bytes     Annotated[int, "long"] → long
datetime → timestamp-micros   Enum → enum   tuple[T, ...] → array   Mapping[str, T] → map
T | None → [null, T]     A | B of dataclasses → [A, B]
"""

import dataclasses
import types
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

Schema = dict[str, Any] | list[Any] | str
Namespace = Callable[[type], str]

_PRIMITIVES: dict[type, Schema] = {
    str: "string",
    int: "int",
    float: "double",
    bool: "boolean",
    bytes: "bytes",
    datetime: {"type": "long", "logicalType": "timestamp-micros"},
}


def schema_of(cls: type, namespace: Namespace) -> dict[str, Any]:
    """The record schema of dataclass `cls`; `namespace` gives each named type its own.

    Raises TypeError for a type that has no Avro form here.
    """
    schema = _named(cls, namespace, set())
    assert isinstance(schema, dict)
    return schema


def _of(hint: Any, namespace: Namespace, seen: set[str]) -> Schema:
    if hint in _PRIMITIVES:
        return _PRIMITIVES[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        assert arguments == (int, "long"), hint
        return "long"
    if origin is tuple and arguments[1:] == (...,):
        return {"type": "array", "items": _of(arguments[0], namespace, seen)}
    if origin is Mapping and arguments[0] is str:
        return {"type": "map", "values": _of(arguments[1], namespace, seen)}
    if origin in (Union, types.UnionType):
        if arguments[1:] == (type(None),):
            return ["null", _of(arguments[0], namespace, seen)]
        if all(dataclasses.is_dataclass(branch) for branch in arguments):
            return [_of(branch, namespace, seen) for branch in arguments]
    if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or issubclass(hint, Enum)):
        return _named(hint, namespace, seen)
    raise TypeError(f"{hint!r} has no Avro form")


def _named(cls: type, namespace: Namespace, seen: set[str]) -> Schema:
    full_name = f"{namespace(cls)}.{cls.__name__}"
    if full_name in seen:
        return full_name
    seen.add(full_name)
    head = {"name": cls.__name__, "namespace": namespace(cls)}
    if issubclass(cls, Enum):
        symbols = [member.value for member in cls]
        # The default lets an older reader meet a newer symbol without failing.
        return {"type": "enum", **head, "symbols": symbols, "default": symbols[0]}
    assert dataclasses.is_dataclass(cls), cls
    hints = get_type_hints(cls, include_extras=True)
    fields: list[dict[str, Any]] = []
    for field in dataclasses.fields(cls):
        schema = _of(hints[field.name], namespace, seen)
        optional = isinstance(schema, list) and schema[0] == "null"
        default = {"default": None} if optional else {}
        fields.append({"name": field.name, "type": schema, **default})
    return {"type": "record", **head, "fields": fields}
