"""Data on stdout in the form that was asked for; messages on stderr.

value ─► table   aligned columns, for people        json, yaml   one document
         jsonl   one object per line                name         one id per line
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.cli.options import Format

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Item = Mapping[str, Any]
Columns = Mapping[str, str]
"""Title of a column → the field it shows, with dots into objects."""

_UNLIMITED = 100_000
"""Columns of an output that is no terminal: nothing is cut or wrapped there."""
_CONTROL = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "\ufffd")
"""Names come from clients: an escape sequence among them must not reach a terminal."""
_STYLES = {
    "succeeded": "green",
    "active": "green",
    "ok": "green",
    "running": "cyan",
    "scheduled": "cyan",
    "failed": "red",
    "missing": "red",
}


@dataclass(frozen=True, slots=True)
class View:
    """How one kind of thing is shown; `name` is its id, `parts` are lists inside it with columns."""

    name: str
    columns: Columns
    parts: Mapping[str, Columns] = field(default_factory=dict)


def show(value: Item, view: View, form: Format) -> None:
    """Print one thing."""
    if form == "table":
        _print_one(value, view)
    else:
        sys.stdout.write(_text(value, [value], view, form))


def show_all(values: Iterable[Item], view: View, form: Format) -> None:
    """Print a list of things."""
    found = list(values)
    if form == "table":
        console().print(table(found, view.columns))
    else:
        sys.stdout.write(_text(found, found, view, form))


def line_of(value: Item, view: View, form: Format) -> str:
    """One thing of a list that has no known end; a table's columns stand apart by two blanks."""
    if form == "table":
        return "  ".join(_cell(value, path) for path in view.columns.values()) + "\n"
    return _text(value, [value], view, "jsonl" if form == "json" else form)


def tell(message: str) -> None:
    """Print a message to people."""
    print(message, file=sys.stderr, flush=True)


def _text(whole: object, each: Sequence[Item], view: View, form: Format) -> str:
    match form:
        case "json":
            return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
        case "yaml":
            import yaml

            return str(
                yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, explicit_start=True)
            )
        case "name":
            ids = (str(one.get(view.name, one.get("aggregate_id", ""))) for one in each)
            return "".join(f"{id.translate(_CONTROL)}\n" for id in ids)
        case _:
            return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in each)


# ── tables ───────────────────────────────────────────────────────────────────────────────


def console() -> "Console":
    """Stdout, with colours where it is a terminal and NO_COLOR is not set."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _UNLIMITED
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def table(values: Iterable[Item], columns: Columns) -> "Table":
    """Aligned columns under their titles."""
    from rich.table import Table

    found = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in columns:
        found.add_column(title, overflow="fold")
    for value in values:
        found.add_row(*(_coloured(_cell(value, path)) for path in columns.values()))
    return found


def _print_one(value: Item, view: View) -> None:
    """Its fields a line each, then its parts as tables."""
    fields = {name: one for name, one in value.items() if name not in view.parts}
    rows = [{"field": name, "value": _shown(one)} for name, one in fields.items()]
    out = console()
    found = table(rows, {"field": "field", "value": "value"})
    found.show_header = False
    out.print(found)
    for name, columns in view.parts.items():
        if value.get(name):
            out.print()
            out.print(table(value[name], columns))


def _coloured(cell: str) -> Any:
    from rich.text import Text

    return Text(cell, _STYLES.get(cell, ""))


def _cell(value: Item, path: str) -> str:
    found: Any = value
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return _shown(found)


def _shown(value: object) -> str:
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
        case str():
            return value.translate(_CONTROL)
        case int():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False)
