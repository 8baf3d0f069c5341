"""The history of a fault run: what each client asked and was told, and what was done to the workers.

invoke ──► ok | fail (an answer was read, perhaps again) | unknown (never answered)      JSON lines
"""

import json
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

Phase = Literal["invoke", "ok", "fail", "unknown"]
Identity = tuple[str, str, str]
"""(context, aggregate id, command id)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One line; `t` is seconds since the epoch, `hash` that of the command's content.

    `payload` is unique per content and found again in the event; `pid` is who answered, `place`
    where the answer stands in the outcomes topic (partition@offset).
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
    slot: int
    pid: int
    start: float
    end: float
    sound: bool
    evidence: dict[str, Any] = field(default_factory=dict)


class History:
    """Takes lines from any thread, keeps them in order and writes them to a file."""

    def __init__(self, file: Path) -> None:
        self.operations: list[Operation] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._file: TextIO = file.open("w", encoding="utf-8")

    def add(self, line: Operation | Fault) -> None:
        """Append a line."""
        text = json.dumps(asdict(line))
        with self._lock:
            if isinstance(line, Operation):
                self.operations.append(line)
            else:
                self.faults.append(line)
            self._file.write(text + "\n")

    def close(self) -> None:
        """Complete the file."""
        with self._lock:
            self._file.close()


def read(lines: Iterable[str]) -> tuple[list[Operation], list[Fault]]:
    """What a history file holds."""
    operations: list[Operation] = []
    faults: list[Fault] = []
    for line in lines:
        fields = json.loads(line)
        if "fault" in fields:
            faults.append(Fault(**fields))
        else:
            operations.append(Operation(**{**fields, "versions": tuple(fields["versions"])}))
    return operations, faults
