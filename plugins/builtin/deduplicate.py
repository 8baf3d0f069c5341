"""`flexcore.deduplicate`: of rows that agree in some columns, one.

| field | means                                                          |
|-------|----------------------------------------------------------------|
| rows  | the input                                                      |
| by    | columns that must agree; all where it is left out              |
| keep  | `first` of them (unless said), or `last`                       |

What stays keeps its order; null agrees with null.
"""

from plugins.builtin.config import Config
from plugins.builtin.rows import Key, check_columns, columns_of, key_of, output_of, rows_of
from plugins.steps import Output, StepContext


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"rows", "count"}`; raises `StepFailed` for columns that do not compare."""
    fields = Config(config, "rows", "by", "keep")
    by, keep = fields.names("by"), fields.choice("keep", ["first", "last"], "first")
    rows = rows_of(fields, "rows", context)
    check_columns(rows, by, "by")
    columns = by or columns_of(rows)
    chosen: dict[Key, int] = {}
    for number, row in enumerate(rows):
        key = key_of(row, columns)
        if keep == "last" or key not in chosen:
            chosen[key] = number
    stay = set(chosen.values())
    return output_of((row for number, row in enumerate(rows) if number in stay), context)
