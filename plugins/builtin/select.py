"""`flexcore.select`: some columns of the rows, in the order and under the names that are asked for.

| field   | means                                                             |
|---------|-------------------------------------------------------------------|
| rows    | the input                                                         |
| columns | columns to keep, in this order; all where it is left out          |
| rename  | map from columns to their new names                               |
"""

from plugins.builtin.config import Config, bad_config
from plugins.builtin.rows import check_columns, columns_of, output_of, rows_of
from plugins.steps import Output, StepContext


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"rows", "count"}`; raises `StepFailed` for columns that are missing or collide."""
    fields = Config(config, "rows", "columns", "rename")
    asked, rename = fields.names("columns"), fields.texts("rename")
    if not asked and not rename:
        raise bad_config("nothing to do; one of columns, rename is required")
    rows = rows_of(fields, "rows", context)
    check_columns(rows, asked, "columns")
    columns = asked or columns_of(rows)
    check_columns(rows, list(rename), "rename")
    names = {column: rename.get(column, column) for column in columns}
    results = list(names.values())
    for name in results:
        if results.count(name) > 1:
            raise bad_config(f"field 'rename': column '{name}' would be there twice")
    kept = ({new: row.get(old) for old, new in names.items()} for row in rows)
    return output_of(kept, context)
