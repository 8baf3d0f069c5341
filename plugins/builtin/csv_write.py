"""`flexcore.csv_write`: rows into a CSV file, which is replaced: `{rows, path, delimiter}`.

The header has every column of any row. Nulls are empty, booleans `true` and `false`, lists and maps
their JSON text; the file is UTF-8 with lines that end in `\\n`, and `csv_read` reads it back.
"""

import csv
import io

import orjson

from plugins.builtin.config import Config, bad_config
from plugins.builtin.rows import columns_of, rows_of
from plugins.builtin.writing import written
from plugins.steps import Output, StepContext


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"path", "count", "bytes"}`; raises `StepFailed` (`file.unavailable`, retryable)."""
    fields = Config(config, "rows", "path", "delimiter")
    path, delimiter = fields.text("path"), fields.text("delimiter", ",")
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise bad_config(f"field 'delimiter' is {delimiter!r}; one character is required")
    rows = rows_of(fields, "rows", context)
    columns = columns_of(rows)
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    if columns:
        writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return written(path, text.getvalue().encode(), len(rows), context)


def _cell(value: object) -> object:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
