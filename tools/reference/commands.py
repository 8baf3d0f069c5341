"""docs/reference/cli.md, from the command line's own parser."""

from collections.abc import Iterator
from dataclasses import fields
from inspect import getdoc
from typing import Any, get_args, get_origin

from cyclopts import App, Argument

from gateway.cli.options import Common, Write
from services.cli import ABOUT, COMMANDS, parser
from tools.reference.markdown import anchor, code, sentence, table

INTRO = f"""# Command line

{ABOUT}

In a clone the command is `./flexcore`, which also knows `test` (every test), `check` (format, lint, types, fast tests),
`fuzz` (inputs that bring about anything undocumented), `conformance` (a running api against its own OpenAPI document) and
`docs` (builds these pages; `docs --serve` shows them). `flexcore COMMAND --help` says what stands here.

- Data goes to stdout, messages to stderr. Colours only on a terminal, and never with `NO_COLOR` set.
- A name of several words is written with `-`; `--wait 30` and `--wait=30` are the same. An option of yes or no also exists
  as `--no-…`.
- Errors have three parts: `error[<code>]: what`, `cause:`, `fix:`. The codes stand under [Errors](errors.md).

| Exit code | Means |
|---|---|
| 0 | done |
| 1 | failed: a run, a check, or a fault of FlexCore |
| 2 | the command line cannot be understood |
| 3 | not found |
| 4 | another version than the expected one |
| 5 | not allowed |
| 6 | away, or not in time |
| 7 | refused, or invalid |
| 70 | of a service: stuck or shut out, start it again |
| 71 | of a service: an inner fault, start it again and look |
| 130 | interrupted |
"""
SHARED = {f"--{field.name.replace('_', '-')}" for part in (Common, Write) for field in fields(part)}
"""Options that are told once, since most commands have them."""


def page() -> str:
    """Every command with its arguments and options."""
    known = parser()
    told = [INTRO, _contents(), "## Shared options\n", _shared(known)]
    for command in COMMANDS:
        told.append(f"## {command.name}\n")
        told += _told(known[command.name], f"flexcore {command.name}")
    return "\n".join(told)


def _contents() -> str:
    rows = [(f"[`{c.name}`](#{anchor(c.name)})", c.help) for c in COMMANDS]
    return table(("Command", "Does"), rows)


def _shared(known: App) -> str:
    arguments = known["pipeline"]["create"].assemble_argument_collection(parse_docstring=True)
    rows = [_row(one) for one in arguments if one.show and one.names[0] in SHARED]
    return table(("Option", "Means"), rows)


def _told(app: App, name: str) -> Iterator[str]:
    verbs = [verb for verb in app if not verb.startswith("-")]
    yield f"{sentence(app.help)}\n" if app.default_command is None else _of_one(app, name)
    for verb in verbs:
        yield f"### {name.partition(' ')[2]} {verb}\n"
        yield from _told(app[verb], f"{name} {verb}")


def _of_one(app: App, name: str) -> str:
    arguments = [one for one in app.assemble_argument_collection(parse_docstring=True) if one.show]
    own = [one for one in arguments if not _is_shared(one)]
    told = [f"```text\n{name}{''.join(_usage(one) for one in own)}\n```\n"]
    # What is registered with a word of COMMANDS is its line on the first page alone.
    told.append(f"{sentence(_about(getdoc(app.default_command) or app.help))}\n")
    if own:
        told.append(table(("Argument or option", "Means"), map(_row, own)))
    shared = [one.names[0] for one in arguments if _is_shared(one)]
    if shared:
        told.append(f"[Shared](#shared-options): {', '.join(map(code, shared))}.\n")
    return "\n".join(told)


def _is_shared(one: Argument) -> bool:
    """A command may have an option of its own under such a name: `--dry-run` of topics apply."""
    return one.names[0] in SHARED and bool(one.keys)


def _about(text: str) -> str:
    return text.partition("Parameters\n")[0]


def _usage(argument: Any) -> str:
    if _is_positional(argument):
        return f" {_placeholder(argument)}"
    value = "" if argument.hint is bool else f" {_placeholder(argument)}"
    shown = f"{argument.names[0]}{value}"
    return f" {shown}" if argument.required else f" [{shown}]"


def _row(argument: Any) -> tuple[str, str]:
    name = _placeholder(argument)
    if not _is_positional(argument):
        # The negative form of a yes or no is said once, at the top.
        names = [one for one in argument.names if not one.startswith("--no-")]
        value = "" if argument.hint is bool else f" {name}"
        name = ", ".join(names) + value
    about = sentence(argument.parameter.help) if argument.parameter.help else ""
    return code(name), f"{about}{_choices(argument)}{_default(argument)}".strip()


def _is_positional(argument: Any) -> bool:
    return bool(argument.required and argument.field_info.kind.name.startswith("POSITIONAL"))


def _placeholder(argument: Any) -> str:
    return str(argument.names[0]).lstrip("-").replace("-", "_").upper()


def _choices(argument: Any) -> str:
    choices = [str(one) for one in get_args(argument.hint) if isinstance(one, str)]
    is_choice = str(get_origin(argument.hint)) == "typing.Literal"
    return f" One of {', '.join(map(code, choices))}." if is_choice else ""


def _default(argument: Any) -> str:
    default = argument.field_info.default
    told = not argument.required and argument.show_default is not False
    plain = isinstance(default, int | float | str) and not isinstance(default, bool)
    if told and plain and str(default) and "default:" not in (argument.parameter.help or ""):
        return f" Default: {code(default)}."
    return ""
