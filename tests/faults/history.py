"""The history of a fault run: what each client asked and was told, and what was done to the workers.

invoke ──► ok | fail (an answer was read, perhaps again) | unknown (never answered)

The file has one line per end of an operation, a JSON list in the order of `_FIELDS`; what was asked is
told by it, so `read` gives both.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

Phase = Literal["invoke", "ok", "fail", "unknown"]
Identity = tuple[str, str, str]
"""(context, aggregate id, command id)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What happened to a command; `t` and `sent` are seconds since the epoch, `hash` is of its content.

    `payload` is unique per content and found again in the event; `pid` is who answered, `place`
    where the answer stands in the outcomes topic (partition@offset), `sent` when it was first asked.
    """

    op: str
    phase: Phase
    t: float
    client: int
    context: str
    aggregate: str
    command_id: str
    hash: str = ""
    expected: str = ""
    payload: str = ""
    versions: tuple[int, ...] = ()
    code: str = ""
    pid: int = 0
    place: str = ""
    sent: float = 0.0

    @property
    def identity(self) -> Identity:
        return self.context, self.aggregate, self.command_id

    @property
    def answered(self) -> bool:
        return self.phase in ("ok", "fail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault; `evidence` shows that it hit, `sound` whether that suffices."""

    fault: str
    kind: str = ""
    slot: int = -1
    pid: int = 0
    start: float
    end: float
    sound: bool
    evidence: dict[str, Any] = field(default_factory=dict)


_FIELDS = tuple(one.name for one in fields(Operation))
_values = attrgetter(*_FIELDS)


class History:
    """Takes lines from any thread, keeps them in order and writes them to a file."""

    def __init__(self, file: Path) -> None:
        self.operations: list[Operation] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._file: BinaryIO = file.open("wb", buffering=1 << 16)

    def add(self, line: Operation | Fault) -> None:
        """Append a line."""
        if isinstance(line, Operation):
            text = b"" if line.phase == "invoke" else orjson.dumps(_values(line)) + b"\n"
        else:
            text = orjson.dumps(asdict(line)) + b"\n"
        with self._lock:
            if isinstance(line, Operation):
                self.operations.append(line)
            else:
                self.faults.append(line)
            self._file.write(text)

    def close(self) -> None:
        """Complete the file."""
        with self._lock:
            self._file.close()


def read(lines: Iterable[bytes]) -> tuple[list[Operation], list[Fault]]:
    """What a history file holds, and what was asked according to it."""
    operations: list[Operation] = []
    faults: list[Fault] = []
    for line in lines:
        found = orjson.loads(line)
        if isinstance(found, dict):
            faults.append(Fault(**found))
        else:
            operations += _asked_and_told(dict(zip(_FIELDS, found, strict=True)))
    return operations, faults


def _asked_and_told(found: dict[str, Any]) -> Iterator[Operation]:
    told = Operation(**{**found, "versions": tuple(found["versions"])})
    if told.sent:
        yield replace(
            told, phase="invoke", t=told.sent, versions=(), code="", pid=0, place="", sent=0.0
        )
    yield told
