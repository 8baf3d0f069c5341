"""Schemas of others and bodies under them: a message of ours or `Unreadable`.

0 │ schema text behind its length, 2 bytes │ body        1 │ choices that make a schema of ours over │ body
"""

import json
import struct
from collections.abc import Iterable
from typing import Any

from domain.errors import Unreadable
from schemas import catalogue, fits
from schemas.codec import Codec
from tests.fuzz.bounded import bounded
from tests.fuzz.choices import Choices
from tests.streams.scripts import CODEC

ID = 77_777
PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
LOGICAL = ("timestamp-micros", "timestamp-millis", "uuid", "decimal", "date", "duration")
NAMES = [
    "flexcore.pipeline.ActivatePipeline",
    "flexcore.pipeline.CreatePipeline",
    "flexcore.execution.ExecutePipeline",
    "flexcore.pipeline.PipelineActivated",
    "flexcore.execution.Running",
]


def check(data: bytes) -> None:
    with bounded():
        choices = Choices(data)
        text = _raw(choices) if choices.number(2) == 0 else json.dumps(_Making(choices).schema())
        codec = Codec(CODEC.ids, {ID: text}.get)
        try:
            message = codec.decode(struct.pack(">BI", 0, ID) + choices.rest())
        except Unreadable:
            return
        assert type(message) in catalogue.full_names()
        fits.check(message)
        written = CODEC.encode(message)
        assert CODEC.encode(CODEC.decode(written)) == written


def _raw(choices: Choices) -> str:
    (length,) = struct.unpack(">H", choices.taken(2).rjust(2, b"\0"))
    return choices.taken(length).decode(errors="replace")


class _Making:
    """One of our schemas with fields added, changed, moved and left out."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._names: list[str] = []

    def schema(self) -> Any:
        schema = json.loads(catalogue.committed(self._choices.one(NAMES)))
        fields: list[Any] = schema["fields"]
        for number in range(self._choices.number(6)):
            at = self._choices.number(len(fields) + 1)
            match self._choices.number(4):
                case 0:
                    fields.insert(at, {"name": f"more{number}", "type": self._type(0)})
                case 1 if at < len(fields):
                    fields[at]["type"] = self._type(0)
                case 2 if at < len(fields):
                    fields.append(fields.pop(at))
                case 3 if at < len(fields):
                    del fields[at]
        return schema

    def _type(self, depth: int) -> Any:
        kinds = 9 if depth < 12 else 2
        match self._choices.number(kinds):
            case 0 | 1:
                return self._choices.one(PRIMITIVES)
            case 2:
                kind = self._choices.one(PRIMITIVES)
                return {"type": kind, "logicalType": self._choices.one(LOGICAL), "scale": 9}
            case 3:
                return {"type": "array", "items": self._type(depth + 1)}
            case 4:
                return {"type": "map", "values": self._type(depth + 1)}
            case 5:
                return [self._type(depth + 1) for _ in range(self._choices.number(4))]
            case 6:
                return {"type": "enum", "name": self._name(), "symbols": ["A", "B"]}
            case 7:
                return {"type": "fixed", "name": self._name(), "size": self._choices.number(20)}
            case _:
                return self._record(depth)

    def _record(self, depth: int) -> Any:
        if self._names and self._choices.number(3) == 0:
            return self._choices.one(self._names)
        name = self._name()
        inner = [self._type(depth + 1) for _ in range(self._choices.number(4))]
        fields = [{"name": f"f{n}", "type": kind} for n, kind in enumerate(inner)]
        return {"type": "record", "name": name, "fields": fields}

    def _name(self) -> str:
        self._names.append(f"other.N{len(self._names)}")
        return self._names[-1]


def seeds() -> Iterable[bytes]:
    text = catalogue.committed(NAMES[0]).encode()
    yield b"\0" + struct.pack(">H", len(text)) + text + b"\2p\2r"
    loop = b'{"type":"record","name":"flexcore.pipeline.ActivatePipeline","fields":[{"name":"x",'
    loop += b'"type":["null","flexcore.pipeline.ActivatePipeline"]}]}'
    yield b"\0" + struct.pack(">H", len(loop)) + loop + b"\2" * 50
    yield b"\1\0\1\2\0\3\0\3" + b"\2p\2r" + b"\xfe\xff\xff\xff\x0f\0"
    yield b"\1\1\2\0\0\5\2\0\1\0\2" + b"\2p\2n\0\2\2a\6x.y\0\0\0\0\0\4{}\0"
