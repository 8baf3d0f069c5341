"""`flexcore.csv_write`: rows into a CSV file, which is replaced.

| field     | means                                                                    |
|-----------|--------------------------------------------------------------------------|
| rows, path | the input, and the file under the files root                            |
| columns   | those to write, in this order; every column of any row where it is left out |
| delimiter | one character, `,` unless said                                           |
| decimal   | `.` unless said; with `,` numbers are `1234,5`                           |
| encoding  | `utf-8` unless said; Excel wants `utf-8-sig`                             |

Nulls are empty, booleans `true` and `false`, lists and maps their JSON text; lines end in `\\n`, and
`csv_read` reads it back. Of no rows the header alone is written, where `columns` says what that is.
"""

import csv
import io

import orjson

from plugins.builtin.config import Config, bad_config, bad_data
from plugins.builtin.rows import check_columns, columns_of, rows_of
from plugins.builtin.writing import written
from plugins.steps import Output, StepContext


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"path", "count", "bytes"}`; raises `StepFailed` (`file.unavailable`, retryable)."""
    fields = Config(config, "rows", "path", "columns", "delimiter", "decimal", "encoding")
    path, delimiter = fields.text("path"), fields.character("delimiter", ",")
    decimal, named = fields.choice("decimal", [".", ","], "."), fields.names("columns")
    if delimiter == '"':
        raise bad_config("field 'delimiter' is '\"'; that is the quote")
    data, text = _opened(fields.text("encoding", "utf-8"))
    rows = rows_of(fields, "rows", context)
    check_columns(rows, named, "columns")
    columns = named or columns_of(rows)
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    try:
        if columns:
            writer.writerow(columns)
        writer.writerows([_cell(row.get(column), decimal) for column in columns] for row in rows)
        text.flush()
    except UnicodeEncodeError as error:
        character = error.object[error.start]
        raise bad_data(
            f"{character!r} cannot be written in {text.encoding}; name another encoding"
        ) from None
    return {"count": len(rows), **written(path, data.getvalue(), context)}


def _opened(encoding: str) -> tuple[io.BytesIO, io.TextIOWrapper]:
    data = io.BytesIO()
    try:
        return data, io.TextIOWrapper(data, encoding, newline="")
    except LookupError:
        raise bad_config(
            f"field 'encoding' is {encoding!r}; a known encoding is required, such as utf-8-sig"
        ) from None


def _cell(value: object, decimal: str) -> object:
    if value is None or isinstance(value, str):
        return value
    text = orjson.dumps(value).decode()
    return text.replace(".", decimal) if isinstance(value, float) else text
