"""`flexcore.filter`: the rows for which an expression is true: `{rows, where: "row.rain > 0.0"}`."""

from plugins.builtin.config import Config, bad_data
from plugins.builtin.derive import failed, over_row
from plugins.builtin.rows import Row, output_of, rows_of
from plugins.expressions import ExpressionError
from plugins.steps import Output, StepContext


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"rows", "count"}`; raises `StepFailed` with the row of what is wrong."""
    fields = Config(config, "rows", "where")
    where = over_row(fields.expression("where"))

    def stays(row: Row, number: int) -> bool:
        try:
            value = where(row)
        except ExpressionError as error:
            raise failed("where", row, number, error) from error
        if not isinstance(value, bool):
            raise bad_data(f"field 'where', row {number} is {value!r}; true or false is required")
        return value

    rows = rows_of(fields, "rows", context)
    return output_of(
        (row for number, row in enumerate(rows, start=1) if stays(row, number)), context
    )
