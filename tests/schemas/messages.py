"""Any message of the catalogue, from the types of its fields, and its plain data."""

import dataclasses
import types
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from schemas import catalogue
from schemas.codec import Codec

IDS = {name: number for number, name in enumerate(catalogue.records(), start=1)}
RECORDS = list(catalogue.records().values())
NAMES = list(catalogue.records())

_LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=30),
    int: st.integers(-(2**31), 2**31 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=30),
    datetime: st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
}


def messages(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, or whole messages of a record's class."""
    if hint in _LEAVES:
        return _LEAVES[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return st.integers(-(2**63), 2**63 - 1)
    if origin is tuple:
        return st.lists(messages(arguments[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=8), messages(arguments[1]), max_size=3)
    if origin in (Union, types.UnionType) and arguments[1:] == (type(None),):
        return st.none() | messages(arguments[0])
    if origin in (Union, types.UnionType):
        return st.one_of(*map(messages, arguments))
    if issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    hints = get_type_hints(hint, include_extras=True)
    fields = {field.name: messages(hints[field.name]) for field in dataclasses.fields(hint)}
    return st.builds(hint, **fields)


def any_message() -> st.SearchStrategy[Any]:
    """A message of any record."""
    return st.sampled_from(RECORDS).flatmap(lambda record: messages(record.cls))


def codec() -> Codec:
    """A codec whose ids count the catalogue."""
    return Codec(IDS)


def plain(value: Any) -> Any:
    """A message as Avro's data, times kept: what fastavro alone reads and writes."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value
