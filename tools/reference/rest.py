"""docs/reference/rest.md, from the api's OpenAPI document and the projector's pages."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from gateway.rest.app import Deps, create_app
from tools.reference.markdown import code, sentence, table

INTRO = """# REST

The api serves this under its address, `http://127.0.0.1:8350` unless set otherwise. The whole document, with every shape, is
`GET /openapi.json`; `GET /docs` shows it to people.

- Bodies are JSON of at most 1 MiB. Times are RFC 3339 in UTC.
- **Writes** are commands. `Idempotency-Key` is the command's id: the same key with the same content takes effect once within
  7 days. `If-Match: "7"` demands that 7 is the last version, `If-Match: *` that it exists, `If-None-Match: *` that it does
  not. Answers carry `ETag` (the version) and `FlexCore-Position`.
- **Reads** may lag by milliseconds. `FlexCore-Min-Position`, with a position from a write, waits until the read model has it,
  and answers 504 rather than something older.
- `Prefer: wait=N` says how many seconds to wait: for the read model, or for a run's end.
- **Errors** are `application/problem+json` (RFC 9457). `code` never changes its meaning; [Errors](errors.md) has a section for
  each. Below stand the statuses of each route; every one can also answer 408, 413, 422, 429 and 503.
"""
TABLES = """## Table views

On the projector's port, `http://127.0.0.1:6066` unless set otherwise. Any projector answers for every key: it asks the one that
holds it.

| Route | Answers |
|---|---|
| `GET /v1/tables` | the tables, with the keys and partitions that this projector holds |
| `GET /v1/tables/{table}/{key}` | `{key, version, position, value}`, or 404; `value` is what the api shows |
| `GET /livez`, `GET /readyz`, `GET /metrics` | health and metrics of the projector |

The worker has `GET /livez`, `GET /readyz` and `GET /metrics` on its own port.
"""
REGISTRY = """The schema registry as Confluent's clients read it; [Schemas and the registry](../schemas.md) says what it answers. Where
an external one is configured, it shows what that one holds. It changes nothing. Errors have the form of that API:
`{error_code, message}`.
"""
ANYWHERE = ("408", "413", "422", "429", "503")
SECTIONS = ("pipelines", "executions", "commands", "streams", "tables", "health", "registry")


def page() -> str:
    """Every route with its parameters and answers, by the first word that says what it is about."""
    routes: dict[str, list[str]] = {}
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            section = _section(path, operation)
            routes.setdefault(section, []).append(_route(method, path, operation))
    order = sorted(routes, key=lambda name: SECTIONS.index(name) if name in SECTIONS else 99)
    told = [INTRO]
    for name in order:
        told += [
            f"## {name.capitalize()}\n",
            *([REGISTRY] if name == "registry" else []),
            *routes[name],
        ]
    return "\n".join([*told, TABLES])


def document() -> dict[str, Any]:
    """The OpenAPI document of an api that stands on nothing: no route is called here."""
    parts = {field.name for field in fields(Deps)} - {"checks", "limits"}
    deps: dict[str, Any] = dict.fromkeys(parts, object())
    return create_app(Deps(**deps)).openapi()


def _section(path: str, operation: dict[str, Any]) -> str:
    tags: list[str] = operation.get("tags", [])
    return tags[0] if tags else path.split("/")[1]


def _route(method: str, path: str, operation: dict[str, Any]) -> str:
    told = [f"### {method.upper()} {path}\n"]
    if operation.get("description"):
        told.append(f"{sentence(operation['description'])}\n")
    parameters = operation.get("parameters", ())
    rows = [_parameter(one) for one in parameters if one["in"] != "header"]
    if rows:
        told.append(table(("Parameter", "In", "Type", "Default"), rows))
    headers = [_header(one) for one in parameters if one["in"] == "header"]
    if headers:
        told.append(f"Headers: {', '.join(headers)}.\n")
    told += _body(operation)
    told.append(f"Answers: {'; '.join(_answers(operation))}.\n")
    return "\n".join(told)


def _parameter(one: dict[str, Any]) -> tuple[str, str, str, str]:
    schema = one.get("schema", {})
    default = schema.get("default")
    told = "required" if one.get("required") else "" if default in (None, "") else code(default)
    return code(one["name"]), one["in"], _type(schema), told


def _header(one: dict[str, Any]) -> str:
    """Named as its standard writes it: the framework has small letters."""
    name = str(one["name"])
    return code(name.title() if name.islower() else name)


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        found = [_type(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(found))
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    if "$ref" in schema:
        return code(schema["$ref"].rpartition("/")[2])
    if "properties" in schema:
        return code(schema["title"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type", ""))


def _body(operation: dict[str, Any]) -> Iterator[str]:
    content = operation.get("requestBody", {}).get("content", {})
    for media, shape in content.items():
        yield f"Body: {_type(shape.get('schema', {}))} (`{media}`).\n"


def _answers(operation: dict[str, Any]) -> Iterator[str]:
    answers = operation["responses"]
    errors = [s for s in sorted(answers) if s >= "400" and s not in ANYWHERE]
    for status, answer in sorted(answers.items()):
        if status in errors or status in ANYWHERE:
            continue
        shapes = [_type(one.get("schema", {})) for one in answer.get("content", {}).values()]
        said = "" if answer["description"] == "Successful Response" else f" {answer['description']}"
        shape = f" {' or '.join(dict.fromkeys(shapes))}" if any(shapes) else ""
        yield f"{status}{shape}{said and f' ({said.strip()})'}"
    if errors:
        yield f"a problem with {', '.join(errors)}"
