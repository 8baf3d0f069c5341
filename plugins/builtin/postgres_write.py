"""`flexcore.postgres_write`: rows into a table of the data database: `{table, rows}`.

The table is made from the rows' columns if it is not there. Its columns `_run` and `_step` say who
wrote a row; a step first deletes what the same step of the same run wrote, in the same transaction,
so that a repeated step replaces its rows and other runs keep theirs.
"""

import re
from typing import LiteralString

import orjson
import psycopg
from psycopg import sql

from plugins.builtin.config import Config, bad_config, bad_data
from plugins.builtin.rows import Rows, rows_of
from plugins.steps import Output, StepContext, StepFailed

_TABLE = re.compile(r"[a-z][a-z0-9_]{0,62}")
_OWN_COLUMNS = ("_run", "_step")
_CONNECT_S = 10
_MAX_NAME_BYTES = 63  # PostgreSQL cuts longer names in silence

Connection = psycopg.Connection[tuple[object, ...]]
Types = dict[str, LiteralString]


def run(config: dict[str, object], context: StepContext) -> Output:
    """Output `{"table", "count"}`; raises `StepFailed`, retryable where the database is away."""
    fields = Config(config, "table", "rows")
    table = fields.text("table")
    if not _TABLE.fullmatch(table):
        raise bad_config(f"field 'table' is {table!r}; a name of a-z, 0-9 and _ is required")
    rows = rows_of(fields, "rows", context)
    types = _types_of(rows)
    try:
        with psycopg.connect(context.outside.data_url(), connect_timeout=_CONNECT_S) as connection:
            _write(connection, table, types, rows, context)
    except psycopg.OperationalError as error:
        raise StepFailed("plugin.database_unavailable", _words(error), retryable=True) from error
    except psycopg.Error as error:
        raise StepFailed("plugin.database_refused", f"table '{table}': {_words(error)}") from error
    return {"table": table, "count": len(rows)}


def _write(
    connection: Connection,
    table: str,
    types: Types,
    rows: Rows,
    context: StepContext,
) -> None:
    # Two steps that both find no table would both make it: one waits for the other here.
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [table])
    if not _ready_table(connection, table, types):
        return
    name = sql.Identifier(table)
    who = (context.run, context.step)
    delete = sql.SQL("DELETE FROM {} WHERE _run = %s AND _step = %s")
    connection.execute(delete.format(name), who)
    if not len(rows):
        return
    copied = sql.SQL(", ").join(map(sql.Identifier, [*_OWN_COLUMNS, *types]))
    copy = sql.SQL("COPY {} ({}) FROM STDIN").format(name, copied)
    with connection.cursor().copy(copy) as stream:
        for row in rows:
            stream.write_row([*who, *(_value(row.get(column), types[column]) for column in types)])


def _ready_table(connection: Connection, table: str, types: Types) -> bool:
    """Make the table, or check the one that is there; False when there is nothing to make it of."""
    found = connection.execute(
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 AND NOT attisdropped",
        [table],
    ).fetchall()
    present = {str(name) for (name,) in found}
    if present:
        _check_table(table, present, types)
    elif types:
        columns = [
            sql.SQL("{} text NOT NULL").format(sql.Identifier(name)) for name in _OWN_COLUMNS
        ]
        columns += [
            sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(type))
            for column, type in types.items()
        ]
        create = sql.SQL("CREATE TABLE {} ({})")
        connection.execute(create.format(sql.Identifier(table), sql.SQL(", ").join(columns)))
        index = sql.SQL("CREATE INDEX ON {} (_run, _step)")
        connection.execute(index.format(sql.Identifier(table)))
    return bool(present or types)


def _check_table(table: str, present: set[str], types: Types) -> None:
    if not present.issuperset(_OWN_COLUMNS):
        raise bad_config(f"table '{table}' was not made by postgres_write; choose another name")
    missing = [column for column in types if column not in present]
    if missing:
        raise bad_data(
            f"table '{table}' has no column {', '.join(missing)}; add it or choose another"
        )


def _types_of(rows: Rows) -> Types:
    """The columns of all rows, each with the type that holds all its values."""
    kinds: dict[str, set[LiteralString]] = {}
    for row in rows:
        for column, value in row.items():
            found = kinds.setdefault(column, set())
            if value is not None:
                found.add(_TYPES[type(value)])
    return {_checked_column(column): _type_of(column, found) for column, found in kinds.items()}


def _checked_column(column: str) -> str:
    if column in _OWN_COLUMNS or not column or "\0" in column:
        raise bad_data(f"column {column!r} cannot be written; rename it by select")
    if len(column.encode()) > _MAX_NAME_BYTES:
        raise bad_data(f"column {column!r} is longer than {_MAX_NAME_BYTES} bytes")
    return column


_TYPES: dict[type, LiteralString] = {
    bool: "boolean",
    int: "bigint",
    float: "double precision",
    str: "text",
    list: "jsonb",
    dict: "jsonb",
}


def _type_of(column: str, found: set[LiteralString]) -> LiteralString:
    if found == {"bigint", "double precision"}:
        return "double precision"
    if len(found) > 1:
        raise bad_data(
            f"column '{column}' holds {' and '.join(sorted(found))}; one kind is required"
        )
    return found.pop() if found else "text"


def _value(value: object, type: str) -> object:
    if value is not None and type == "jsonb":
        return orjson.dumps(value).decode()
    return value


def _words(error: psycopg.Error) -> str:
    """The server's own words, without the detail that can hold a row's values."""
    return error.diag.message_primary or " ".join(str(error).split())[:500]
