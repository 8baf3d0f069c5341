"""The configuration fields of the steps that come with FlexCore, for whoever looks before a run.

A step itself refuses what it does not know; this table says the same without importing any of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from plugins.expressions import problem


@dataclass(frozen=True, slots=True)
class Fields:
    """Names of fields; `rows` are those among `required` that hold rows.

    `over_row` are expressions over `row`: a text, or a map of texts.
    """

    required: Sequence[str]
    optional: Sequence[str] = ()
    rows: Sequence[str] = ("rows",)
    over_row: Sequence[str] = ()


_CSV = ("delimiter", "encoding", "decimal", "columns")

FIELDS: Mapping[str, Fields] = {
    "flexcore.csv_read": Fields(("path",), (*_CSV, "quote", "escape", "skip", "text", "nulls")),
    "flexcore.ndjson_read": Fields(("path",)),
    "flexcore.http_get": Fields(("url",), ("headers", "as", "at", "path")),
    "flexcore.select": Fields(("rows",), ("columns", "rename")),
    "flexcore.derive": Fields(("rows", "set"), over_row=("set",)),
    "flexcore.filter": Fields(("rows", "where"), over_row=("where",)),
    "flexcore.sort": Fields(("rows", "by"), ("descending",)),
    "flexcore.deduplicate": Fields(("rows",), ("by", "keep")),
    "flexcore.join": Fields(("left", "right", "on"), ("how", "suffix"), rows=("left", "right")),
    "flexcore.aggregate": Fields(("rows",), ("by", "mean", "sum", "min", "max", "count")),
    "flexcore.csv_write": Fields(("rows", "path"), _CSV),
    "flexcore.ndjson_write": Fields(("rows", "path")),
    "flexcore.postgres_write": Fields(("rows", "table")),
    "flexcore.kafka_write": Fields(("rows", "topic"), ("key",)),
}


def field_problems(uses: str, config: Mapping[str, object]) -> Iterator[str]:
    """What is wrong with a step's `with` whatever its run brings, `with.path: …` each."""
    fields = FIELDS.get(uses)
    if fields is None:
        return
    known = (*fields.required, *fields.optional)
    for name in config:
        if name not in known:
            yield f"with.{name}: unknown field {name!r}; known: {', '.join(known)}"
    for name in fields.required:
        if name not in config:
            yield f"with: field {name!r} is missing"
    for name in fields.rows:
        if isinstance(text := config.get(name), str) and "${{" not in text:
            named = text[:100].strip(" ${}")
            yield f'with.{name}: a text and no rows; write "${{{{ {named} }}}}"'
    for name in fields.over_row:
        yield from _row_problems(f"with.{name}", config.get(name))


def _row_problems(place: str, value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _row_problems(f"{place}.{key}", one)
    elif isinstance(value, str) and "${{" not in value:
        found = problem(value, {"row"})
        if found is not None:
            yield f"{place}: {value[:100]}: {found}"
