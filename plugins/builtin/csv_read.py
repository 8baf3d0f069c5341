"""`flexcore.csv_read`: a CSV file with a header row becomes rows.

| field     | means                                                                     |
|-----------|---------------------------------------------------------------------------|
| path      | file under the files root                                                  |
| delimiter | one character, `,` unless said                                             |
| encoding  | `utf-8` unless said; a byte order mark is skipped                          |
| text      | columns to leave as text, such as postal codes                             |

A column is int, float or text: the first kind that all its values have. Empty values are null.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from plugins.builtin.config import Config, bad_config, bad_data
from plugins.builtin.rows import Row, check_columns, output_of
from plugins.steps import Output, StepContext

# A leading zero marks a code, not a number: '007' stays text.
_INT = re.compile(r"[+-]?(?:0|[1-9]\d*)", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_INT64 = 2**63

Parse = Callable[[str], object]


class _Reader(Protocol):
    """What `csv.reader` makes; the module does not export its name."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"rows", "count"}`; raises `StepFailed` with the line of what is wrong."""
    fields = Config(config, "path", "delimiter", "encoding", "text")
    path = fields.text("path")
    delimiter = fields.text("delimiter", ",")
    if len(delimiter) != 1:
        raise bad_config(f"field 'delimiter' is {delimiter!r}; one character is required")
    with context.files.open_to_read(path) as file:
        text = _decoded(file.read(), fields.text("encoding", "utf-8"), path)
    header, records = _records(text, delimiter, path)
    as_text = set(fields.names("text"))
    parsers = [
        str if name in as_text else _parser([record[index] for record in records])
        for index, name in enumerate(header)
    ]
    rows = [_row(header, parsers, record) for record in records]
    check_columns(rows, sorted(as_text), "text")
    return output_of(rows, context)


def _decoded(data: bytes, encoding: str, path: str) -> str:
    try:
        return data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise bad_config(
            f"field 'encoding' is {encoding!r}; a known encoding is required"
        ) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise bad_data(f"'{path}', line {line}: not {encoding}; name its encoding") from None


def _records(text: str, delimiter: str, path: str) -> tuple[list[str], list[list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        _check_header(header, path)
        return header, list(_checked(reader, len(header), path))
    except csv.Error as error:
        raise bad_data(f"'{path}', line {reader.line_num}: {error}") from None


def _check_header(header: Sequence[str], path: str) -> None:
    if not header:
        raise bad_data(f"'{path}' is empty; a header row is required")
    for name in header:
        if not name.strip() or header.count(name) > 1:
            raise bad_data(f"'{path}', line 1: column {name!r}; names must be there and differ")


def _checked(reader: "_Reader", width: int, path: str) -> Iterator[list[str]]:
    for record in reader:
        if len(record) == width:
            yield record
        elif record:  # a blank line is nothing
            raise bad_data(
                f"'{path}', line {reader.line_num}: {len(record)} values; the header has {width}"
            )


def _parser(values: Sequence[str]) -> Parse:
    present = [value for value in values if value]
    if all(_INT.fullmatch(value) and -_INT64 <= int(value) < _INT64 for value in present):
        return int
    if all(_FLOAT.fullmatch(value) for value in present):
        return float
    return str


def _row(header: Sequence[str], parsers: Sequence[Parse], record: Sequence[str]) -> Row:
    columns = zip(header, parsers, record, strict=True)
    return {name: parse(value) if value else None for name, parse, value in columns}
