"""`flexcore.aggregate`: one row per group.

| field               | adds                                                              |
|---------------------|-------------------------------------------------------------------|
| rows, by            | the input and the columns that make a group; no `by` = one group   |
| mean, sum, min, max | lists of columns; `mean: [temp]` adds `mean_temp`                  |
| count               | `true` adds `count`, the number of rows                            |

Nulls are left out; of nothing, every value is null. Groups come in the order of first appearance.
Sums of floats are exact before one rounding (`math.fsum`), so the rows' order cannot change them.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from plugins.builtin.config import Config, bad_config, bad_data
from plugins.builtin.rows import Key, Row, check_columns, key_of, output_of, rows_of
from plugins.steps import Output, StepContext

Values = Sequence[object]


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"rows", "count"}`; raises `StepFailed` for columns that do not fit."""
    fields = Config(config, "rows", "by", *AGGREGATES, "count")
    by, counted = fields.names("by"), fields.flag("count")
    wanted = [(how, column) for how in AGGREGATES for column in fields.names(how)]
    if not wanted and not counted:
        raise bad_config(f"nothing to compute; one of {', '.join(AGGREGATES)} or count is required")
    results = [*by, *(f"{how}_{column}" for how, column in wanted), *(["count"] if counted else [])]
    for name in results:
        if results.count(name) > 1:
            raise bad_config(f"column '{name}' would be there twice; rename one by derive first")
    rows = rows_of(fields, "rows", context)
    check_columns(rows, by, "by")
    for how in AGGREGATES:
        check_columns(rows, fields.names(how), how)
    used = {*by, *(column for _, column in wanted)}
    needed = ({column: row.get(column) for column in used} for row in rows)
    grouped = [
        _summary(group, by, wanted, counted=counted) for group in _groups(needed, by).values()
    ]
    return output_of(grouped, context)


def _groups(rows: Iterable[Row], by: Sequence[str]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key_of(row, by), []).append(row)
    return groups


def _summary(
    group: Sequence[Row],
    by: Sequence[str],
    wanted: Sequence[tuple[str, str]],
    *,
    counted: bool,
) -> Row:
    summary: Row = {column: group[0].get(column) for column in by}
    for how, column in wanted:
        values = [value for row in group if (value := row.get(column)) is not None]
        try:
            summary[f"{how}_{column}"] = AGGREGATES[how](values) if values else None
        except TypeError as error:
            raise bad_data(f"field '{how}', column '{column}': {error}") from error
    return {**summary, "count": len(group)} if counted else summary


def _numbers(values: Values) -> list[int | float]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{value!r} is no number")
    return [value for value in values if isinstance(value, int | float)]


def _mean(values: Values) -> float:
    return math.fsum(_numbers(values)) / len(values)


def _sum(values: Values) -> int | float:
    numbers = _numbers(values)
    return sum(numbers) if all(isinstance(n, int) for n in numbers) else math.fsum(numbers)


def _of_one_kind(values: Values) -> list[float] | list[str]:
    if all(isinstance(value, str) for value in values):
        return [str(value) for value in values]
    return _numbers(values)


AGGREGATES: dict[str, Callable[[Values], object]] = {
    "mean": _mean,
    "sum": _sum,
    "min": lambda values: min(_of_one_kind(values)),
    "max": lambda values: max(_of_one_kind(values)),
}
