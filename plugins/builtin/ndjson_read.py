"""`flexcore.ndjson_read`: a file of JSON lines becomes rows: `{path}`. Blank lines are nothing."""

import io

import orjson

from plugins.builtin.config import Config, bad_data
from plugins.builtin.rows import Row, output_of
from plugins.steps import Output, StepContext


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"rows", "count"}`; raises `StepFailed` with the line of what is wrong."""
    fields = Config(config, "path")
    path = fields.text("path")
    with context.files.open_to_read(path) as file:
        data = file.read().removeprefix(b"\xef\xbb\xbf")
    lines = enumerate(io.BytesIO(data), 1)
    return output_of((_row(line, path, n) for n, line in lines if line.strip()), context)


def _row(line: bytes, path: str, number: int) -> Row:
    place = f"'{path}', line {number}"
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise bad_data(f"{place}: no JSON: {error}") from None
    if not isinstance(row, dict):
        raise bad_data(f"{place} is {str(row)[:100]!r}; an object is required")
    return row
