"""`flexcore.derive`: new or changed columns, each by an expression over `row`.

`{rows, set: {month: "month(row.date)"}}`: every expression sees the row as it came in, so that their
order does not matter; columns that are not set stay as they are.
"""

from collections.abc import Callable

from plugins.builtin.config import Config, bad_data, check_expression
from plugins.builtin.rows import Row, output_of, rows_of
from plugins.expressions import ExpressionError, evaluator, members_of
from plugins.steps import Output, StepContext, StepFailed


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"rows", "count"}`; raises `StepFailed` with column and row of what is wrong."""
    fields = Config(config, "rows", "set")
    expressions = fields.texts("set", required=True)
    for column, text in expressions.items():
        check_expression(f"set.{column}", text)
    columns = {column: over_row(text) for column, text in expressions.items()}
    rows = rows_of(fields, "rows", context)
    derived = (_derived(row, number, columns) for number, row in enumerate(rows, start=1))
    return output_of(derived, context)


def over_row(text: str) -> Callable[[Row], object]:
    """An expression as a function of a row; it raises `ExpressionError`."""
    evaluate, members = evaluator(text), members_of(text, "row")
    if members is None:
        return lambda row: evaluate({"row": row})
    # CEL copies what it is given: a row of ten columns costs three times what the needed two do.
    return lambda row: evaluate({"row": {name: row[name] for name in members if name in row}})


def failed(field: str, row: Row, number: int, error: ExpressionError) -> StepFailed:
    """What went wrong in which row; the names of its columns where one was missed."""
    said = f"field '{field}', row {number}: {error}"
    if error.missed:
        said += f"; the row has: {', '.join(row)[:500]}"
    return bad_data(said)


def _derived(row: Row, number: int, columns: dict[str, Callable[[Row], object]]) -> Row:
    new: Row = {}
    for column, value in columns.items():
        try:
            new[column] = value(row)
        except ExpressionError as error:
            raise failed(f"set.{column}", row, number, error) from error
    return {**row, **new}
