"""Encoders and decoders of dataclasses in Avro, written out field by field and compiled once.

What is generated for a text, a whole number, an optional number and a record (`n` `o` `t` are
scratch, fields end in `_`):

    def encode(value):
        return join((
            ZIGZAG[len(t := value.name.encode())], t,
            (INT[n] if type(n := value.revision) is int else not_whole(n)),
            NULL if (o := value.timeout_s) is None else SOME + (pack(n) if type(n := o) is float else pack_whole(n)),
            known_Definition(value.definition),
        ))

    def decode(data, at):
        n, at = size(data, at) if (n := data[at]) & 129 else (n >> 1, at + 1)
        name_ = data[at : (at := at + n)].decode()
        revision_, at = read_int(data, at) if (n := data[at]) > 127 else (n >> 1 ^ -(n & 1), at + 1)
        if (n := data[at]) == 0:
            timeout_s_, at = None, at + 1
        elif n == 2:
            at += 1
            timeout_s_, at = unpack(data, at)[0], at + 8
        else:
            no_branch(n)
        definition_, at = kept_Definition(data, at)
        return Example(name_, revision_, timeout_s_, definition_), at

A slice past the end is short and `at` then stands behind the end, where the next byte is missing
or the caller finds it: nothing is allocated on the word of a length. What an encoder cannot take
raises some error or other; `Codec` then asks `schemas/fits.py`, which names the field.
"""

import dataclasses
import types
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from schemas import wire

Encode = wire.Write
Decode = wire.Read
"""(bytes, offset) → (value, offset behind it); raises anything where the bytes make no sense."""

_SIZE = "n, at = size(data, at) if (n := data[at]) & 129 else (n >> 1, at + 1)"
_WHOLE = "(data, at) if (n := data[at]) > 127 else (n >> 1 ^ -(n & 1), at + 1)"
LONG: Any = Annotated[int, "long"]

_EXPRESSIONS: dict[Any, str] = {
    str: "text({0})",
    int: "(INT[n] if type(n := {0}) is int else not_whole(n))",
    LONG: "(ZIGZAG[n] if type(n := {0}) is int else not_whole(n))",
    float: "(pack(n) if type(n := {0}) is float else pack_whole(n))",
    bool: "(TRUE if (n := {0}) is True else FALSE if n is False else no_bool(n))",
    bytes: "(ZIGZAG[len({0})] + {0})",
    datetime: "micros({0})",
}
_STATEMENTS: dict[Any, tuple[str, ...]] = {
    str: (_SIZE, "{0} = data[at : (at := at + n)].decode()"),
    int: ("{0}, at = read_int" + _WHOLE,),
    LONG: ("{0}, at = long" + _WHOLE,),
    float: ("{0}, at = unpack(data, at)[0], at + 8",),
    bool: ("{0}, at = data[at] != 0, at + 1",),
    bytes: (_SIZE, "{0} = data[at : (at := at + n)]"),
    datetime: ("{0}, at = read_moment(data, at)",),
}
_ITEMS = {
    str: ("text", "read_text"),
    int: ("int_bytes", "read_int"),
    LONG: ("long_bytes", "long"),
}


@cache
def encoder(cls: type) -> Encode:
    """Writes the body of a record of class `cls`, without a head."""
    function: Encode = _compiled("encode", cls)
    return function


@cache
def decoder(cls: type) -> Decode:
    """Reads the body of a record of class `cls`; whoever calls it compares the end."""
    function: Decode = _compiled("decode", cls)
    return function


@cache
def _keepers(cls: type) -> tuple[Encode, Decode]:
    """Of the last record in each other one, which is large and often the same."""
    return wire.kept_bytes(encoder(cls)), wire.kept(decoder(cls))


def source(kind: str, cls: type) -> str:
    """The text that is compiled; `kind` is encode or decode. Raises TypeError for other types."""
    return "\n".join(_encode_lines(cls) if kind == "encode" else _decode_lines(cls))


def _compiled(kind: str, cls: type) -> Any:
    names: dict[str, Any] = {**vars(wire), cls.__name__: cls}
    for inner in {_innermost(hint) for _, hint in _fields(cls)} - set(_EXPRESSIONS):
        name = _name(inner)
        if _shape(inner)[0] == "union":
            branches = get_args(inner)
            names[f"encode_{name}"] = wire.union({branch: encoder(branch) for branch in branches})
            names[f"decode_{name}"] = wire.read_union([decoder(branch) for branch in branches])
        elif issubclass(inner, Enum):
            names[f"{name}_bytes"] = {member: wire.ZIGZAG[n] for n, member in enumerate(inner)}
            names[f"{name}_of"] = {wire.ZIGZAG[n][0]: member for n, member in enumerate(inner)}
        else:
            names[f"encode_{name}"] = encoder(inner)
            names[f"decode_{name}"] = decoder(inner)
            names[f"known_{name}"], names[f"kept_{name}"] = _keepers(inner)
    code = compile(source(kind, cls), f"<{kind} {cls.__name__}>", "exec")
    # The text is made of the names of our own dataclasses and their fields, and of nothing else.
    exec(code, names)  # noqa: S102
    return names[kind]


def _fields(cls: Any) -> list[tuple[str, Any]]:
    hints = get_type_hints(cls, include_extras=True)
    return [(field.name, hints[field.name]) for field in dataclasses.fields(cls)]


def _kept_field(fields: list[tuple[str, Any]]) -> str:
    """The last record, where at most optional fields follow; else none."""
    for name, hint in reversed(fields):
        shape, _ = _shape(hint)
        if shape != "optional":
            return name if shape == "record" else ""
    return ""


def _shape(hint: Any) -> tuple[str, Any]:
    """("array" | "map" | "optional" | "union" | "enum" | "record" | "leaf", what it is made of)."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return "array", arguments[0]
    if origin is Mapping and arguments[0] is str:
        return "map", arguments[1]
    if origin in (Union, types.UnionType):
        if arguments[1:] == (type(None),):
            return "optional", arguments[0]
        # The number of a branch is one byte.
        if len(arguments) <= 64 and all(map(dataclasses.is_dataclass, arguments)):
            return "union", hint
    if hint in _EXPRESSIONS:
        return "leaf", hint
    # The code of an enum's symbol is one byte.
    if isinstance(hint, type) and issubclass(hint, Enum) and len(hint) <= 64:
        return "enum", hint
    if dataclasses.is_dataclass(hint):
        return "record", hint
    raise TypeError(f"{hint!r} has no compiled form")


def _innermost(hint: Any) -> Any:
    shape, inner = _shape(hint)
    return _innermost(inner) if shape in ("array", "map", "optional") else inner


def _name(inner: Any) -> str:
    if _shape(inner)[0] == "union":
        return "_or_".join(branch.__name__ for branch in get_args(inner))
    return str(inner.__name__)


def _item_functions(hint: Any) -> tuple[str, str]:
    """The names of the functions that write and read an item of an array or a value of a map."""
    shape, inner = _shape(hint)
    if shape == "union" or (shape == "record" and _fields(inner)):
        return f"encode_{_name(inner)}", f"decode_{_name(inner)}"
    # A record of no bytes could stand a billion times in an array of a few bytes.
    if shape != "leaf" or inner not in _ITEMS:
        raise TypeError(f"items of {hint!r} have no compiled form")
    return _ITEMS[inner]


# ── encoding: an expression for each field ───────────────────────────────────────────────


def _encode_lines(cls: type) -> Iterator[str]:
    yield "def encode(value):"
    yield "    return join(("
    fields = _fields(cls)
    kept = _kept_field(fields)
    for name, hint in fields:
        value = f"value.{name}"
        if hint is str:
            yield f"        ZIGZAG[len(t := {value}.encode())], t,"
        elif name == kept:
            yield f"        known_{hint.__name__}({value}),"
        else:
            yield f"        {_bytes(value, hint)},"
    yield "    ))"


def _bytes(value: str, hint: Any) -> str:
    shape, inner = _shape(hint)
    match shape:
        case "array":
            return f"items({value}, {_item_functions(inner)[0]})"
        case "map":
            return f"entries({value}, {_item_functions(inner)[0]})"
        case "optional":
            return f"NULL if (o := {value}) is None else SOME + {_bytes('o', inner)}"
        case "enum":
            return f"{inner.__name__}_bytes[{value}]"
        case "record" | "union":
            return f"encode_{_name(inner)}({value})"
        case _:
            return _EXPRESSIONS[inner].format(value)


# ── decoding: a few statements for each field ────────────────────────────────────────────


def _decode_lines(cls: type) -> Iterator[str]:
    fields = _fields(cls)
    kept = _kept_field(fields)
    yield "def decode(data, at):"
    for name, hint in fields:
        record_reader = "kept" if name == kept else "decode"
        yield from (f"    {line}" for line in _reading(f"{name}_", hint, record_reader))
    yield f"    return {cls.__name__}({', '.join(f'{name}_' for name, _ in fields)}), at"


def _reading(target: str, hint: Any, record_reader: str) -> Iterator[str]:
    shape, inner = _shape(hint)
    match shape:
        case "array":
            yield f"{target}, at = read_items(data, at, {_item_functions(inner)[1]})"
        case "map":
            yield f"{target}, at = read_entries(data, at, {_item_functions(inner)[1]})"
        case "union":
            yield f"{target}, at = decode_{_name(inner)}(data, at)"
        case "optional":
            yield "if (n := data[at]) == 0:"
            yield f"    {target}, at = None, at + 1"
            yield "elif n == 2:"
            yield "    at += 1"
            yield from (f"    {line}" for line in _reading(target, inner, record_reader))
            yield "else:"
            yield "    no_branch(n)"
        case "enum":
            yield f"{target}, at = {inner.__name__}_of[data[at]], at + 1"
        case "record":
            yield f"{target}, at = {record_reader}_{inner.__name__}(data, at)"
        case _:
            yield from (line.format(target) for line in _STATEMENTS[inner])
