"""`flexcore.ndjson_write`: rows into a file, one JSON object per line: `{rows, path}`.

The file under the files root is made or replaced as a whole, so a repeated step changes nothing.
"""

from plugins.atomic_file import write_atomically
from plugins.builtin.config import Config
from plugins.builtin.rows import rows_of, to_lines
from plugins.steps import Output, StepContext, StepFailed


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"path", "count", "bytes"}`; raises `StepFailed` (`file.unavailable`, retryable)."""
    fields = Config(config, "rows", "path")
    path = fields.text("path")
    place = context.files.place_to_write(path)
    rows = rows_of(fields, "rows", context)
    lines = to_lines(rows)
    try:
        write_atomically(place, lines)
    except OSError as error:
        raise StepFailed(
            "file.unavailable", f"'{path}': {error.strerror}", retryable=True
        ) from error
    return {"path": path, "count": len(rows), "bytes": len(lines)}
