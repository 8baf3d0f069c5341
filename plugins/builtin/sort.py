"""`flexcore.sort`: the rows in the order of some columns.

| field      | means                                                         |
|------------|---------------------------------------------------------------|
| rows       | the input                                                     |
| by         | columns; the first decides, the next where it is equal, …     |
| descending | those of them that start with the greatest                    |

Rows that are equal in all of them keep their order. Nulls come last, either way.
"""

from collections.abc import Sequence
from operator import itemgetter

from plugins.builtin.config import Config, bad_config, bad_data
from plugins.builtin.rows import Row, check_columns, output_of, rows_of
from plugins.steps import Output, StepContext


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"rows", "count"}`; raises `StepFailed` for columns that do not compare."""
    fields = Config(config, "rows", "by", "descending")
    by, descending = fields.names("by", required=True), fields.names("descending")
    for column in descending:
        if column not in by:
            raise bad_config(f"field 'descending' names column '{column}', which `by` does not")
    rows = list(rows_of(fields, "rows", context))
    check_columns(rows, by, "by")
    # Python's sort keeps the order of equals, so the last column goes first.
    for column in reversed(by):
        rows = _sorted(rows, column, reverse=column in descending)
    return output_of(rows, context)


def _sorted(rows: Sequence[Row], column: str, *, reverse: bool) -> list[Row]:
    present = [row for row in rows if row.get(column) is not None]
    kinds = {_kind(row[column], column) for row in present}
    if len(kinds) > 1:
        found = " and ".join(sorted(kinds))
        raise bad_data(f"field 'by', column '{column}' holds {found}; derive one kind first")
    present.sort(key=itemgetter(column), reverse=reverse)
    return [*present, *(row for row in rows if row.get(column) is None)]


def _kind(value: object, column: str) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    raise bad_data(f"field 'by', column '{column}': {str(value)[:100]!r} has no order")
