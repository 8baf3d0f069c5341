"""Messages to bytes and back, in the Confluent wire format.

0x00 │ schema id, 4 bytes big endian │ Avro body
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from domain.errors import Unreadable
from schemas import catalogue, compiled, fits, foreign
from schemas.admission import admitted

HEAD_BYTES = 5


class _Reader(NamedTuple):
    """`read` takes (bytes, offset) and returns (message, offset behind it)."""

    name: str
    read: compiled.Decode
    max_bytes: int


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
        self._readers: dict[bytes, _Reader] = {}
        self._writers: dict[type, tuple[bytes, compiled.Encode]] = {}
        for name, record in catalogue.records().items():
            if name in self.ids:
                head = struct.pack(">BI", 0, self.ids[name])
                self._writers[record.cls] = head, compiled.encoder(record.cls)
                self._readers[head] = _Reader(name, compiled.decoder(record.cls), record.max_bytes)

    def encode(self, message: Any) -> bytes:
        """The wire bytes of a record of the catalogue.

        Raises TypeError, ValueError, OverflowError or AttributeError for a value that its field
        cannot hold.
        """
        head, write = self._writers[type(message)]
        try:
            return head + write(message)
        except Exception:
            # Slowly, but it names the field that does not fit.
            fits.check(message)
            raise

    def name_of(self, data: bytes) -> str:
        """The full name of the record that `data` holds. Raises Unreadable."""
        return self._reader(data).name

    def known_name(self, data: bytes) -> str:
        """The same without reading anything of others: empty for a schema not met before."""
        reader = self._readers.get(data[:HEAD_BYTES])
        return "" if reader is None else reader.name

    def decode(self, data: bytes) -> Any:
        """The message in `data`. Raises Unreadable where schema or body make no sense."""
        _, read, max_bytes = self._reader(data)
        if len(data) > max_bytes:
            raise _unreadable(f"it has {len(data)} bytes; at most {max_bytes} are read")
        try:
            message, end = read(data, HEAD_BYTES)
        except Exception as error:
            # Whatever the bytes brought about: IndexError, UnicodeDecodeError, fastavro's own …
            raise _unreadable(f"the body does not follow its schema: {error!r}") from error
        if end > len(data):
            raise _unreadable(f"the body ends {end - len(data)} bytes too early")
        if end < len(data):
            raise _unreadable(f"{len(data) - end} bytes follow the end of the record")
        return message

    def _reader(self, data: bytes) -> _Reader:
        head = data[:HEAD_BYTES]
        reader = self._readers.get(head)
        if reader is None:
            if len(head) < HEAD_BYTES or head[0] != 0:
                raise _unreadable("the value does not start with 0x00 and a schema id")
            reader = self._readers[head] = self._learn(*struct.unpack(">xI", head))
        return reader

    def _learn(self, schema_id: int) -> _Reader:
        text = self._writer_schema(schema_id) if self._writer_schema else None
        if text is None:
            raise _unreadable(f"schema id {schema_id} is not registered")
        writer = _admitted(text)
        # A registry that others use too has ids of schemas that are no records.
        full_name = str(writer.get("name", "")) if isinstance(writer, dict) else ""
        record = catalogue.records().get(full_name)
        if record is None or record.cls not in self._writers:
            raise _unreadable(f"schema id {schema_id} is {full_name!r}, which is no record of ours")
        return _Reader(full_name, foreign.reader(writer, record.cls), record.max_bytes)


def _admitted(text: str) -> Any:
    try:
        return admitted(text)
    except Exception as error:
        # What another party registered may break any rule; fastavro has no one class for that.
        raise _unreadable(f"its schema makes no sense: {error!r}") from error


def _unreadable(what: str) -> Unreadable:
    return Unreadable("command.unreadable", what)
