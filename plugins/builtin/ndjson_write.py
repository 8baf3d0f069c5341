"""`flexcore.ndjson_write`: rows as JSON lines into a file, which is replaced: `{rows, path}`."""

from plugins.builtin.config import Config
from plugins.builtin.rows import rows_of, to_lines
from plugins.builtin.writing import written
from plugins.steps import Output, StepContext


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"path", "count", "bytes"}`; raises `StepFailed` (`file.unavailable`, retryable)."""
    fields = Config(config, "rows", "path")
    path = fields.text("path")
    lines, count = to_lines(rows_of(fields, "rows", context))
    return {"count": count, **written(path, lines, context)}
