"""Rows between steps: by value while the output stays small, else as a blob of JSON lines.

`[{column: value}, …]` or `{"$blob": "sha256:…", "bytes": n}`; in the blob one row per line, UTF-8.
"""

from collections.abc import Sequence
from typing import cast

import orjson

from plugins.blob_store import REFERENCE_FIELD, BlobRef
from plugins.builtin.config import Config, bad_config, bad_data
from plugins.step_call import MAX_OUTPUT_BYTES
from plugins.steps import Output, StepContext

Row = dict[str, object]
Key = tuple[tuple[bool, object], ...]
"""Values of some columns, each with whether it is a boolean: Python alone takes true for 1."""


def rows_of(config: Config, name: str, context: StepContext) -> list[Row]:
    """The rows of a field, given by value or by reference; raises `StepFailed`."""
    value = config.value(name)
    if isinstance(value, dict) and REFERENCE_FIELD in value:
        value = _from_lines(context.blobs.get(context.tenant, BlobRef.from_json(value).digest))
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


def output_of(rows: Sequence[Row], context: StepContext) -> Output:
    """`{"rows": …, "count": n}`; the rows go into a blob when the whole would be over 32 KiB."""
    output: Output = {"rows": rows, "count": len(rows)}
    # Every row takes at least two bytes and a comma: no need to write a million rows to find out.
    if len(rows) * 3 <= MAX_OUTPUT_BYTES and len(orjson.dumps(output)) <= MAX_OUTPUT_BYTES:
        return output
    return {**output, "rows": context.blobs.put(context.tenant, to_lines(rows)).to_json()}


def to_lines(rows: Sequence[Row]) -> bytes:
    """JSON lines; NaN and infinities, which JSON lacks, become null. Raises `StepFailed`."""
    try:
        return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
    except TypeError as error:
        raise bad_data(f"a row is no JSON: {error}") from error


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Every column of any row, in the order of first appearance."""
    return list(dict.fromkeys(column for row in rows for column in row))


def key_of(row: Row, columns: Sequence[str]) -> Key:
    """What rows with the same values in these columns share; raises `StepFailed` for lists and maps."""
    values = tuple(row.get(column) for column in columns)
    if any(isinstance(value, list | dict) for value in values):
        raise bad_data(f"{str(values)[:200]} holds a list or a map; only plain values compare")
    return tuple((isinstance(value, bool), value) for value in values)


def check_columns(rows: Sequence[Row], columns: Sequence[str], field: str) -> None:
    """Raise `StepFailed` for a named column that no row has; there are no rows without columns."""
    present = set(columns_of(rows))
    for column in columns if rows else ():
        if column not in present:
            known = ", ".join(sorted(present))
            raise bad_config(f"field '{field}' names column '{column}'; the rows have: {known}")


def _from_lines(data: bytes) -> list[object]:
    try:
        return [orjson.loads(line) for line in data.splitlines()]
    except orjson.JSONDecodeError as error:
        raise bad_data(f"the blob holds no JSON lines: {error}") from error
