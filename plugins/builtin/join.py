"""`flexcore.join`: rows of two inputs that agree in the columns `on`.

| field  | means                                                                          |
|--------|--------------------------------------------------------------------------------|
| left, right | rows                                                                      |
| on     | columns that both have; null agrees with nothing                               |
| how    | `inner` (unless said), or `left`: rows of left without partner stay, with nulls |
| suffix | for right columns whose name left has too, `_right` unless said                |

The order is that of left, then of right; a row with several partners appears once per partner.
"""

from collections import defaultdict
from collections.abc import Sequence

from plugins.builtin.config import Config, bad_config
from plugins.builtin.rows import Row, check_columns, columns_of, output_of, rows_of
from plugins.steps import Output, StepContext

Key = tuple[object, ...]


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"rows", "count"}`; raises `StepFailed` for columns that are missing or collide."""
    fields = Config(config, "left", "right", "on", "how", "suffix")
    left, right = list(rows_of(fields, "left", context)), list(rows_of(fields, "right", context))
    on = fields.names("on", required=True)
    for rows in (left, right):
        check_columns(rows, on, "on")
    for column in on:
        _check_kinds(left, right, column)
    names = _right_names(left, right, on, fields.text("suffix", "_right"))
    partners: defaultdict[Key, list[Row]] = defaultdict(list)
    for row in right:
        partners[_key(row, on)].append({new: row.get(old) for old, new in names.items()})
    nothing = (
        [dict.fromkeys(names.values())]
        if fields.choice("how", ["inner", "left"], "inner") == "left"
        else []
    )
    joined: list[Row] = []
    for row in left:
        key = _key(row, on)
        found = [] if None in key else partners.get(key, [])
        joined += [{**row, **partner} for partner in found or nothing]
    return output_of(joined, context)


def _key(row: Row, on: Sequence[str]) -> Key:
    """Kind and value: Python alone would let true agree with 1."""
    values = [row.get(column) for column in on]
    return tuple(value if value is None else (_kind(value), value) for value in values)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    raise bad_config(f"field 'on': {str(value)[:100]!r} cannot be joined on; text and numbers can")


def _check_kinds(left: Sequence[Row], right: Sequence[Row], column: str) -> None:
    """Text against number is the usual mistake, and would silently join nothing."""
    kinds = [
        {_kind(row[column]) for row in rows if row.get(column) is not None}
        for rows in (left, right)
    ]
    if kinds[0] and kinds[1] and not kinds[0] & kinds[1]:
        found = [" and ".join(sorted(one)) for one in kinds]
        raise bad_config(
            f"field 'on': column '{column}' is {found[0]} on the left and {found[1]} on the right; "
            "nothing can agree, derive the same kind first"
        )


def _right_names(
    left: Sequence[Row], right: Sequence[Row], on: Sequence[str], suffix: str
) -> dict[str, str]:
    """What each right column is called in the result."""
    taken = set(columns_of(left))
    names: dict[str, str] = {}
    for column in columns_of(right):
        if column not in on:
            names[column] = column + suffix if column in taken else column
    results = [*taken, *names.values()]
    for name in results:
        if results.count(name) > 1:
            raise bad_config(
                f"field 'suffix': column '{name}' would be there twice; choose another"
            )
    return names
