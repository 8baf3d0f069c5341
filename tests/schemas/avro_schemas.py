"""Avro schemas of any shape, changed as people change them, and values that follow them."""

import copy
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

NAMES = ("a.R", "b.R", "a.S", "a.T")
ENUMS = ("a.E", "b.E")
FIXED = ("a.F", "b.F")
FIELDS = ("x", "y", "z")
SYMBOLS = ("A", "B", "C")
PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_LOGICAL = (
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "int", "logicalType": "time-millis"},
)


@st.composite
def schemas(draw: DrawFn) -> Any:
    """A record, with records, enums, unions, arrays and maps in it."""
    return _record(draw, set(), 0)


@st.composite
def changed(draw: DrawFn, schema: Any) -> Any:
    """The schema after a few changes, which may leave it no schema at all."""
    found = copy.deepcopy(schema)
    for _ in range(draw(st.integers(1, 3))):
        found = _changed(draw, found)
    return found


@st.composite
def values(draw: DrawFn, schema: Any, named: dict[str, Any]) -> Any:
    """A value of a schema; `named` holds the schemas of its names."""
    if isinstance(schema, list):
        return draw(values(draw(st.sampled_from(schema)), named))
    if isinstance(schema, str) and schema in named:
        return draw(values(named[schema], named))
    kind = schema if isinstance(schema, str) else schema["type"]
    match kind:
        case "record":
            return {f["name"]: draw(values(f["type"], named)) for f in schema["fields"]}
        case "enum":
            return draw(st.sampled_from(schema["symbols"]))
        case "fixed":
            return draw(st.binary(min_size=schema["size"], max_size=schema["size"]))
        case "array":
            return draw(st.lists(values(schema["items"], named), max_size=2))
        case "map":
            return draw(st.dictionaries(st.sampled_from("kl"), values(schema["values"], named)))
        case _:
            return draw(_PLAIN[kind])


_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(0, 10_000),
    "long": st.integers(0, 10_000),
    "float": st.just(0.5),
    "double": st.just(0.25),
    "bytes": st.binary(max_size=3),
    "string": st.text(max_size=3),
}


def names_of(schema: Any) -> dict[str, Any]:
    """Each named type in a schema."""
    found: dict[str, Any] = {}
    for part in _parts(schema):
        if (
            isinstance(part, dict)
            and "name" in part
            and part["type"] in ("record", "enum", "fixed")
        ):
            found[f"{part['namespace']}.{part['name']}"] = part
    return found


# ── schemas ──────────────────────────────────────────────────────────────────────────────


def _schema(draw: DrawFn, used: set[str], depth: int) -> Any:
    kinds = ["primitive", "primitive", "logical", "enum", "fixed", "name"]
    if depth < 2:
        kinds += ["record", "array", "map", "union", "union"]
    match draw(st.sampled_from(kinds)):
        case "record":
            return _record(draw, used, depth)
        case "array":
            return {"type": "array", "items": _schema(draw, used, depth + 1)}
        case "map":
            return {"type": "map", "values": _schema(draw, used, depth + 1)}
        case "union":
            return _union([_schema(draw, used, depth + 1) for _ in range(draw(st.integers(1, 3)))])
        case "enum":
            return _named(draw, used, ENUMS, _enum)
        case "fixed":
            return _named(draw, used, FIXED, _fixed)
        case "logical":
            return dict(draw(st.sampled_from(_LOGICAL)))
        case "name" if used:
            return draw(st.sampled_from(sorted(used)))
        case _:
            return draw(st.sampled_from(PRIMITIVES))


def _record(draw: DrawFn, used: set[str], depth: int) -> Any:
    def of(draw: DrawFn) -> Any:
        names = draw(st.lists(st.sampled_from(FIELDS), unique=True, min_size=1))
        fields = [_field(draw, name, _schema(draw, used, depth + 1)) for name in names]
        return {"type": "record", "fields": fields}

    return _named(draw, used, NAMES, of)


def _named(draw: DrawFn, used: set[str], names: tuple[str, ...], of: Any) -> Any:
    free = [name for name in names if name not in used]
    if not free:
        return "string"
    full_name = draw(st.sampled_from(free))
    used.add(full_name)
    namespace, _, name = full_name.partition(".")
    return {"name": name, "namespace": namespace, **of(draw)}


def _enum(draw: DrawFn) -> Any:
    symbols = draw(st.lists(st.sampled_from(SYMBOLS), unique=True, min_size=1))
    default = {"default": symbols[0]} if draw(st.booleans()) else {}
    return {"type": "enum", "symbols": symbols, **default}


def _fixed(draw: DrawFn) -> Any:
    return {"type": "fixed", "size": draw(st.integers(1, 2))}


def _field(draw: DrawFn, name: str, schema: Any) -> Any:
    default = _default(schema) if draw(st.booleans()) else {}
    aliases = {"aliases": [draw(st.sampled_from(FIELDS))]} if draw(st.integers(0, 9)) == 0 else {}
    return {"name": name, "type": schema, **default, **aliases}


def _default(schema: Any) -> dict[str, Any]:
    """Of a field of this type; none where it would take thought."""
    first = schema[0] if isinstance(schema, list) else schema
    kind = first["type"] if isinstance(first, dict) else first
    plain = {"null": None, "boolean": True, "int": 1, "long": 1, "string": "", "bytes": ""}
    plain |= {"float": 0.5, "double": 0.5}
    if kind in plain:
        return {"default": plain[kind]}
    match kind:
        case "array":
            return {"default": []}
        case "map":
            return {"default": {}}
        case "enum":
            return {"default": first["symbols"][0]}
        case _:
            return {}


def _union(branches: list[Any]) -> Any:
    """Of the branches, the first of each kind and name."""
    found: dict[str, Any] = {}
    for branch in branches:
        for one in branch if isinstance(branch, list) else [branch]:
            found.setdefault(_kind(one), one)
    return list(found.values())


def _kind(schema: Any) -> str:
    if isinstance(schema, str):
        return schema
    if "name" in schema:
        return f"{schema['namespace']}.{schema['name']}"
    return str(schema["type"])


# ── changes ──────────────────────────────────────────────────────────────────────────────


def _parts(schema: Any) -> list[Any]:
    """A schema and all schemas in it."""
    if isinstance(schema, list):
        return [schema, *(part for one in schema for part in _parts(one))]
    inside: list[Any] = []
    if isinstance(schema, dict):
        inside = [field["type"] for field in schema.get("fields", ())]
        inside += [schema[key] for key in ("items", "values") if key in schema]
    return [schema, *(part for one in inside for part in _parts(one))]


def _changed(draw: DrawFn, schema: Any) -> Any:
    target = draw(st.sampled_from(_parts(schema)))
    if isinstance(target, list):
        draw(
            st.sampled_from(
                [
                    target.reverse,
                    lambda: target[:1] and target.pop(),
                    lambda: target.append("string"),
                ]
            )
        )()
    elif isinstance(target, dict) and target["type"] == "record":
        _change_record(draw, target)
    elif isinstance(target, dict) and target["type"] == "enum":
        target |= {"default": None, **_enum(draw)}
        if target["default"] is None:
            del target["default"]
    elif isinstance(target, dict) and target["type"] == "fixed":
        target["size"] = draw(st.integers(1, 2))
    return schema


def _change_record(draw: DrawFn, record: Any) -> None:
    fields = record["fields"]
    number = draw(st.integers(0, len(fields) - 1)) if fields else 0
    match draw(st.sampled_from(["add", "drop", "type", "wrap", "alias", "namespace"])):
        case "drop" if fields:
            del fields[number]
        case "type" if fields:
            fields[number] = _field(draw, fields[number]["name"], draw(_simple))
        case "wrap" if fields and not isinstance(fields[number]["type"], list):
            extra = draw(_simple)
            if _kind(extra) != _kind(fields[number]["type"]):
                wrapped = [fields[number]["type"], extra]
                wrapped = draw(st.permutations(wrapped))
                fields[number] = _field(draw, fields[number]["name"], list(wrapped))
        case "alias" if fields:
            fields[number]["aliases"] = [draw(st.sampled_from(FIELDS))]
        case "namespace":
            record["namespace"] = draw(st.sampled_from("ab"))
        case _:
            unused = [name for name in FIELDS if name not in [field["name"] for field in fields]]
            if unused:
                fields.append(_field(draw, draw(st.sampled_from(unused)), draw(_simple)))


_simple = st.sampled_from([*PRIMITIVES, *_LOGICAL]).map(copy.deepcopy)
