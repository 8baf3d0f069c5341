"""Rows between steps: by value while the output stays small, else as a blob of JSON lines.

`[{column: value}, …]` or `{"$blob": "sha256:…", "bytes": n}`; in the blob one row per line, UTF-8.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Protocol, cast

import orjson

from plugins.blob_store import REFERENCE_FIELD, BlobRef
from plugins.builtin.config import Config, bad_config, bad_data
from plugins.step_call import MAX_OUTPUT_BYTES
from plugins.steps import Output, StepContext

_MOST_BY_VALUE = MAX_OUTPUT_BYTES // 3
"""Every row takes at least two bytes and a comma."""

Row = dict[str, object]
Key = tuple[tuple[bool, object], ...]
"""Values of some columns, each with whether it is a boolean: Python alone takes true for 1."""


class Rows(Protocol):
    """Rows that can be gone through more than once; a list is one."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Row]: ...


class _StoredRows:
    """Rows of a blob, each made when it is its turn: a million at once take gigabytes."""

    def __init__(self, lines: bytes) -> None:
        self._lines = lines

    def __len__(self) -> int:
        return self._lines.count(b"\n")

    def __iter__(self) -> Iterator[Row]:
        for line in io.BytesIO(self._lines):
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise bad_data(f"the blob holds no JSON lines: {error}") from error
            if not isinstance(row, dict):
                raise bad_data(f"the blob holds {str(row)[:100]!r}; a map is required")
            yield row


def rows_of(config: Config, name: str, context: StepContext) -> Rows:
    """The rows of a field, given by value or by reference; raises `StepFailed`."""
    value = config.value(name)
    if isinstance(value, dict) and REFERENCE_FIELD in value:
        digest = BlobRef.from_json(value).digest
        return _StoredRows(context.blobs.get(context.tenant, digest))
    if not isinstance(value, list):
        found = str(value)[:100]
        raise bad_config(
            f"field '{name}' is {found!r}; a list of rows or a blob reference is required"
        )
    for index, row in enumerate(value):
        if not isinstance(row, dict):
            raise bad_config(
                f"field '{name}', row {index + 1} is {str(row)[:100]!r}; a map is required"
            )
    return cast(list[Row], value)


def output_of(rows: Iterable[Row], context: StepContext) -> Output:
    """`{"rows": …, "count": n}`; the rows go into a blob when the whole would be over 32 KiB."""
    rest = iter(rows)
    first = list(islice(rest, _MOST_BY_VALUE + 1))
    output: Output = {"rows": first, "count": len(first)}
    if len(first) <= _MOST_BY_VALUE and len(orjson.dumps(output)) <= MAX_OUTPUT_BYTES:
        return output
    lines, count = to_lines(chain(first, rest))
    return {"rows": context.blobs.put(context.tenant, lines).to_json(), "count": count}


def to_lines(rows: Iterable[Row]) -> tuple[bytes, int]:
    """JSON lines, and how many; NaN and infinities, which JSON lacks, become null. Raises `StepFailed`."""
    lines, count = io.BytesIO(), 0
    try:
        for row in rows:
            # Written one by one: orjson takes a kilobyte for each text that it gives out.
            lines.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    except TypeError as error:
        raise bad_data(f"a row is no JSON: {error}") from error
    return lines.getvalue(), count


def columns_of(rows: Iterable[Row]) -> list[str]:
    """Every column of any row, in the order of first appearance."""
    return list(dict.fromkeys(column for row in rows for column in row))


def key_of(row: Row, columns: Sequence[str]) -> Key:
    """What rows with the same values in these columns share; raises `StepFailed` for lists and maps."""
    values = tuple(row.get(column) for column in columns)
    if any(isinstance(value, list | dict) for value in values):
        raise bad_data(f"{str(values)[:200]} holds a list or a map; only plain values compare")
    return tuple((isinstance(value, bool), value) for value in values)


def check_columns(rows: Rows, columns: Sequence[str], field: str) -> None:
    """Raise `StepFailed` for a named column that no row has; there are no rows without columns."""
    missing = set(columns)
    for row in rows:
        missing.difference_update(row)
        if not missing:
            return
    if missing and len(rows):
        first = next(column for column in columns if column in missing)
        known = ", ".join(sorted(columns_of(rows)))
        raise bad_config(f"field '{field}' names column '{first}'; the rows have: {known}")
