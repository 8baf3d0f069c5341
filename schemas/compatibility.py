"""Which changes of a schema its readers get over; Apache Avro's checker judges, we name the places.

older versions, a new schema, a level ─► breaks: version, direction, field, what, fix
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from avro.compatibility import (
    ReaderWriterCompatibilityChecker,
    SchemaCompatibilityResult,
    SchemaCompatibilityType,
    SchemaIncompatibilityType,
    incompatible,
    lookup_writer_field,
)
from avro.errors import IgnoredLogicalType
from avro.schema import NamedSchema, Schema, parse

from schemas.levels import Level

Direction = Literal["BACKWARD", "FORWARD"]

MAX_BYTES = 64 * 1024
"""Apache's parser takes 0.9 s for a record of 2,000 fields in 64 KiB, and 64 s for 25,000 (1.12.2)."""

_PROMOTED = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
    "bytes": ("string",),
}
_TYPES = SchemaIncompatibilityType

# What others send in is no warning of ours; kept once per text, they would also fill the memory.
warnings.filterwarnings("ignore", category=IgnoredLogicalType)


@dataclass(frozen=True, slots=True)
class Break:
    """One place where `version` and the new schema do not go together.

    `field` is the path below the record, empty for the record itself; `[]` stands for the items of
    an array, `{}` for the values of a map.
    """

    version: int
    direction: Direction
    field: str
    what: str
    fix: str

    def __str__(self) -> str:
        return (
            f"{self.direction} version {self.version}, {self.field or 'record'}: "
            f"{self.what}; {self.fix}"
        )


def parsed(text: str) -> Schema:
    """A schema as `breaks` takes it. Raises ValueError for one that is too large or no Avro."""
    if len(text) > MAX_BYTES:
        raise ValueError(f"the schema has {len(text)} characters; {MAX_BYTES} are compared")
    try:
        return parse(text)
    except Exception as error:
        # Its own errors have one root, but other JSON than it expects brings about many more.
        raise ValueError(f"the schema is no Avro: {error or type(error).__name__}") from error


def breaks(new: Schema, older: Sequence[tuple[int, Schema]], level: Level) -> list[Break]:
    """Every break between `new` and its (version, schema) before, the oldest first.

    Raises ValueError for schemas that cannot be compared.
    """
    compared = older if level.endswith("_TRANSITIVE") else older[-1:]
    found: list[Break] = []
    try:
        for version, old in compared:
            if level.startswith(("BACKWARD", "FULL")):
                found += _broken(new, old, version, "BACKWARD")
            if level.startswith(("FORWARD", "FULL")):
                found += _broken(old, new, version, "FORWARD")
    except Exception as error:
        # Of too many levels, or of what the parser keeps as it finds it: aliases that are no list …
        raise ValueError(f"the schemas cannot be compared: {error!r}") from error
    return found


def _broken(reader: Schema, writer: Schema, version: int, direction: Direction) -> list[Break]:
    new, old = "the new schema", f"version {version}"
    names = _Names(new, old) if direction == "BACKWARD" else _Names(old, new)
    return [
        Break(version, direction, place.field, place.what, _fix(place.kind, direction))
        for place in _Places(names).of(reader, writer, "")
    ]


def _fix(kind: SchemaIncompatibilityType, direction: Direction) -> str:
    if kind is _TYPES.reader_field_missing_default_value:
        if direction == "BACKWARD":
            return "give the new field a default (`| None` in its class)"
        return "keep the field"
    if kind is _TYPES.missing_enum_symbols and direction == "BACKWARD":
        return "keep the symbols"
    return "keep it as it was; what is new becomes a field of its own that has a default"


# ── stricter than Avro ───────────────────────────────────────────────────────────────────


class _Checker(ReaderWriterCompatibilityChecker):
    """Also refuses what Avro lets pass and readers stumble over."""

    def calculate_compatibility(
        self, reader: Any, writer: Any, location: list[str]
    ) -> SchemaCompatibilityResult:
        what = _misread(reader, writer)
        if what:
            return incompatible(_TYPES.type_mismatch, what, location)
        if reader.type == "union" and writer.type != "union":
            # fastavro reads with the first branch that could do, also where a later one would.
            first = next((branch for branch in reader.schemas if _takes(branch, writer)), None)
            if first is not None:
                return self.get_compatibility(first, writer, location=location)
        return super().calculate_compatibility(reader, writer, location)


def _misread(reader: Any, writer: Any) -> str:
    """What a reader would take for something else; empty where there is nothing of that kind."""
    if "union" in (reader.type, writer.type):
        return ""
    if reader.type == writer.type == "record" and _ambiguous(reader, writer):
        return "a field is found by its name and by an alias"
    if (writer.type, reader.type) == ("bytes", "string"):
        return "bytes need not be text"
    if _meaning(reader) != _meaning(writer):
        return f"{_shown(writer)} is not {_shown(reader)}"
    return ""


def _ambiguous(reader: Any, writer: Any) -> bool:
    """Whether names and aliases lead from one field to two; fastavro then ends in KeyError (1.13)."""
    written = {field.name for field in writer.fields}
    taken: set[str] = set()
    for field in reader.fields:
        found = written & {field.name, *(field.get_prop("aliases") or ())}
        if len(found) > 1 or found & taken:
            return True
        taken |= found
    return False


def _takes(reader: Any, writer: Any) -> bool:
    """Whether a reader would try: by name where both have one, by type elsewhere."""
    if isinstance(reader, NamedSchema) and isinstance(writer, NamedSchema):
        aliases: Any = reader.get_prop("aliases") or ()
        return bool({writer.name, writer.fullname} & {reader.name, *aliases})
    return reader.type == writer.type or reader.type in _PROMOTED.get(writer.type, ())


def _meaning(schema: Schema) -> tuple[object, ...]:
    return tuple(schema.get_prop(name) for name in ("logicalType", "precision", "scale"))


# ── the places ───────────────────────────────────────────────────────────────────────────
# The classes of avro keep their parts as properties without types.


class _Names(NamedTuple):
    """Who reads and who wrote, in words."""

    reader: str
    writer: str


class _Place(NamedTuple):
    field: str
    kind: SchemaIncompatibilityType
    what: str


class _Places:
    """Goes down to the smallest parts of two schemas that do not fit; each pair is named once."""

    def __init__(self, names: _Names) -> None:
        self._names = names
        self._checker: Any = _Checker()  # type: ignore[no-untyped-call]  # avro gives it no types
        self._seen: set[tuple[int, int]] = set()

    def of(self, reader: Any, writer: Any, at: str) -> list[_Place]:
        result = self._checker.get_compatibility(reader, writer)
        pair = id(reader), id(writer)
        if result.compatibility is SchemaCompatibilityType.compatible or pair in self._seen:
            return []
        self._seen.add(pair)
        inside = list(self._inside(reader, writer, at))
        return inside or [_Place(at, result.incompatibilities[0], self._why(reader, writer))]

    def _inside(self, reader: Any, writer: Any, at: str) -> Iterator[_Place]:
        if "union" in (reader.type, writer.type):
            yield from self._branches(reader, writer, at)
        elif _alike(reader, writer):
            match reader.type:
                case "array":
                    yield from self.of(reader.items, writer.items, f"{at}[]")
                case "map":
                    yield from self.of(reader.values, writer.values, at + "{}")
                case "record":
                    yield from self._fields(reader, writer, at)

    def _fields(self, reader: Any, writer: Any, at: str) -> Iterator[_Place]:
        for field in reader.fields:
            place = f"{at}.{field.name}" if at else field.name
            written = lookup_writer_field(writer, field)
            if written is not None:
                yield from self.of(field.type, written.type, place)
            elif not field.has_default:
                what = f"{self._names.writer} does not have it, {self._names.reader} has no default"
                yield _Place(place, _TYPES.reader_field_missing_default_value, what)

    def _branches(self, reader: Any, writer: Any, at: str) -> Iterator[_Place]:
        known = _branches(reader)
        for branch in _branches(writer):
            first = next((one for one in known if _takes(one, branch)), None)
            if first is not None:
                yield from self.of(first, branch, at)
            elif self.of(reader, branch, at):
                takes = ", ".join(map(_shown, known))
                what = f"{self._names.reader} takes {takes}, not {_shown(branch)}"
                yield _Place(at, _TYPES.missing_union_branch, what)

    def _why(self, reader: Any, writer: Any) -> str:
        if reader.type == writer.type == "enum" and _alike(reader, writer):
            missing = ", ".join(sorted({*writer.symbols} - {*reader.symbols}))
            return f"{self._names.reader} has no default for {missing}"
        return (
            f"{self._names.reader} reads {_shown(reader)}, "
            f"{self._names.writer} writes {_shown(writer)}"
        )


def _branches(schema: Any) -> list[Any]:
    return list(schema.schemas) if schema.type == "union" else [schema]


def _alike(one: Any, other: Any) -> bool:
    """Of one kind and, as Avro compares them, of one name without namespace."""
    named = isinstance(one, NamedSchema)
    return bool(one.type == other.type and (not named or one.name == other.name))


def _shown(schema: Any) -> str:
    size = f"({schema.size})" if schema.type == "fixed" else ""
    digits = [str(found) for found in _meaning(schema)[1:] if found is not None]
    kind = f"{schema.get_prop('logicalType') or schema.type}{size}" + "/".join(["", *digits])
    return f"{kind} {schema.fullname}" if isinstance(schema, NamedSchema) else kind
