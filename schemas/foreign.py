"""Bodies that other schemas wrote, through fastavro.

writer's schema ─► admitted ─► body followed ─► resolved into the committed one ─► dataclass ─► checked
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

from schemas import catalogue, fits
from schemas.follow import follower

Convert = Callable[[Any], Any]


def reader(schema: Any, cls: type) -> Callable[[bytes, int], tuple[Any, int]]:
    """Reads bodies of `schema` (see `admitted`) as `cls`: (bytes, offset) → (message, offset).

    What it reads raises whatever the bytes bring about.
    """
    ours, from_plain, follow = _committed(cls), _converter(cls), follower(schema)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        end = follow(data, at)
        body = io.BytesIO(data)
        body.seek(at)
        found = fastavro.schemaless_reader(
            body, schema, ours, return_record_name=True, return_record_name_override=True
        )
        if body.tell() != end:
            raise ValueError(f"read to byte {body.tell()}, and its schema ends at {end}")
        message = from_plain(found)
        fits.check(message)
        return message, end

    return read


@cache
def _committed(cls: type) -> Any:
    return fastavro.parse_schema(json.loads(catalogue.committed(catalogue.full_names()[cls])))


# ── from plain data ──────────────────────────────────────────────────────────────────────


def _same(value: Any) -> Any:
    return value


@cache
def _converter(hint: Any) -> Convert:
    """From plain data to a value of a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _converter(arguments[0])
    if origin is tuple:
        from_item = _converter(arguments[0])
        return lambda v: tuple([from_item(i) for i in v])
    if origin is Mapping:
        from_value = _converter(arguments[1])
        return lambda v: {key: from_value(i) for key, i in v.items()}
    if origin in (Union, types.UnionType) and arguments[1:] != (type(None),):
        return _union_converter(arguments)
    if origin in (Union, types.UnionType):
        from_some = _converter(arguments[0])
        return lambda v: None if v is None else from_some(v)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    if dataclasses.is_dataclass(hint):
        return _record_converter(hint)
    return _same


def _union_converter(branches: Sequence[Any]) -> Convert:
    """Of (record name, its data): by its fields alone it could pass for another type's."""
    from_data = {f"{catalogue.namespace(cls)}.{cls.__name__}": _converter(cls) for cls in branches}
    return lambda v: from_data[v[0]](v[1])


def _record_converter(cls: Any) -> Convert:
    hints = get_type_hints(cls, include_extras=True)
    fields = [(f.name, _converter(hints[f.name])) for f in dataclasses.fields(cls)]
    return lambda v: cls(*[convert(v[name]) for name, convert in fields])
