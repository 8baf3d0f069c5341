"""Messages to bytes and back, in the Confluent wire format.

0x00 │ schema id, 4 bytes big endian │ Avro body
"""

import dataclasses
import io
import json
import struct
import types
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import fastavro
from fastavro.types import Schema as ParsedSchema

from domain.errors import Unreadable
from schemas import catalogue

HEAD_BYTES = 5

Convert = Callable[[Any], Any]


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
    if origin in (Union, types.UnionType):
        to_some, from_some = _converters(arguments[0])
        if to_some is _same and from_some is _same:
            return _same, _same
        return (
            lambda v: None if v is None else to_some(v),
            lambda v: None if v is None else from_some(v),
        )
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda v: v.value, hint
    if dataclasses.is_dataclass(hint):
        return _record_converters(hint)
    return _same, _same


def _record_converters(cls: Any) -> tuple[Convert, Convert]:
    hints = get_type_hints(cls, include_extras=True)
    fields = [(f.name, *_converters(hints[f.name])) for f in dataclasses.fields(cls)]

    def to_plain(value: Any) -> dict[str, Any]:
        return {name: convert(getattr(value, name)) for name, convert, _ in fields}

    def from_plain(value: Mapping[str, Any]) -> Any:
        return cls(*[convert(value[name]) for name, _, convert in fields])

    return to_plain, from_plain


class Codec:
    """Encodes and decodes the records of the catalogue.

    `ids` gives the schema id of each record's full name; `writer_schema` gives the schema text of
    an id it did not know at the start, or `None`.
    """

    def __init__(
        self, ids: Mapping[str, int], writer_schema: Callable[[int], str | None] | None = None
    ) -> None:
        self.ids = dict(ids)
        self._writer_schema = writer_schema
        self._readers: dict[int, tuple[str, ParsedSchema, ParsedSchema | None, Convert]] = {}
        self._writers: dict[type, tuple[bytes, ParsedSchema, Convert]] = {}
        for name, record in catalogue.records().items():
            if name in self.ids:
                parsed = fastavro.parse_schema(json.loads(catalogue.committed(name)))
                to_plain, from_plain = _converters(record.cls)
                head = struct.pack(">BI", 0, self.ids[name])
                self._writers[record.cls] = head, parsed, to_plain
                self._readers[self.ids[name]] = name, parsed, None, from_plain

    def encode(self, message: Any) -> bytes:
        """The wire bytes of a record of the catalogue."""
        head, schema, to_plain = self._writers[type(message)]
        out = io.BytesIO()
        out.write(head)
        fastavro.schemaless_writer(out, schema, to_plain(message))
        return out.getvalue()

    def name_of(self, data: bytes) -> str:
        """The full name of the record that `data` holds. Raises Unreadable."""
        return self._reader(data)[0]

    def decode(self, data: bytes) -> Any:
        """The message in `data`. Raises Unreadable where schema or body make no sense."""
        _, writer, reader, from_plain = self._reader(data)
        body = io.BytesIO(data)
        body.seek(HEAD_BYTES)
        try:
            value = from_plain(fastavro.schemaless_reader(body, writer, reader))
        except Exception as error:
            # fastavro raises whatever its C code met: EOFError, IndexError, UnicodeDecodeError …
            raise _unreadable(f"the body does not follow its schema: {error!r}") from error
        if body.tell() != len(data):
            raise _unreadable(f"{len(data) - body.tell()} bytes follow the end of the record")
        return value

    def _reader(self, data: bytes) -> tuple[str, ParsedSchema, ParsedSchema | None, Convert]:
        if len(data) < HEAD_BYTES or data[0] != 0:
            raise _unreadable("the value does not start with 0x00 and a schema id")
        (schema_id,) = struct.unpack_from(">I", data, 1)
        reader = self._readers.get(schema_id)
        if reader is None:
            reader = self._readers[schema_id] = self._learn(schema_id)
        return reader

    def _learn(self, schema_id: int) -> tuple[str, ParsedSchema, ParsedSchema | None, Convert]:
        text = self._writer_schema(schema_id) if self._writer_schema else None
        if text is None:
            raise _unreadable(f"schema id {schema_id} is not registered")
        writer = _parsed(text)
        # A registry that others use too has ids of schemas that are no records.
        full_name = str(writer.get("name", "")) if isinstance(writer, dict) else ""
        record = catalogue.records().get(full_name)
        if record is None or record.cls not in self._writers:
            raise _unreadable(f"schema id {schema_id} is {full_name!r}, which is no record of ours")
        _, ours, _ = self._writers[record.cls]
        return full_name, writer, ours, _converters(record.cls)[1]


def _parsed(text: str) -> ParsedSchema:
    try:
        return fastavro.parse_schema(json.loads(text))
    except Exception as error:
        # What another party registered may break any rule; fastavro has no one class for that.
        raise _unreadable(f"its schema makes no sense: {error!r}") from error


def _unreadable(what: str) -> Unreadable:
    return Unreadable("command.unreadable", what)
