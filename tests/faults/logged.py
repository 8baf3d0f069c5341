"""What the topics hold after a run, as records of Python: events, commands, answers, dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tests.faults.history import Identity

Place = tuple[str, int]
"""(context, partition)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """An event as it stands in the log; `digest` is over value and headers.

    `name` is a pipeline's, the rest a step's, `code` why it failed; empty where there is none.
    `body` is kept of pipelines alone.
    """

    context: str
    partition: int
    offset: int
    aggregate: str
    version: int
    type: str
    source: str
    command_id: str
    hash: str
    index: int
    count: int
    digest: str
    name: str = ""
    step: str = ""
    attempt: int = 0
    delivery: int = 0
    code: str = ""
    body: Any = None

    @property
    def identity(self) -> Identity:
        return self.context, self.aggregate, self.command_id


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCommand:
    """A record of a command topic; `body` is `None` and `hash` empty for what is no command.

    `digest` is over key, value and headers.
    """

    context: str
    partition: int
    offset: int
    identity: Identity
    digest: str
    hash: str = ""
    body: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What was put aside: where it came from, and the digest of what is kept of it.

    `dropped` tells that its bytes were too many for any topic.
    """

    context: str
    partition: int
    offset: int
    digest: str
    reason: str
    dropped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAnswer:
    """An answer as it stands in the outcomes topic; `place` is partition@offset."""

    place: str
    context: str
    aggregate: str
    command_id: str
    hash: str
    status: str
    code: str
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """`commands` stand on their topics, `ends` has the offset behind the last of each place.

    `committed` is the worker group's, `stuck` names partitions with a transaction left open.
    """

    partitions: int
    events: Sequence[LoggedEvent]
    answers: Sequence[LoggedAnswer]
    aborted: Sequence[LoggedEvent] = ()
    commands: Sequence[LoggedCommand] = ()
    ends: Mapping[Place, int] = field(default_factory=dict)
    committed: Mapping[Place, int] = field(default_factory=dict)
    dead: Sequence[DeadLetter] = ()
    stuck: Sequence[str] = ()


def write(dump: Dump, file: Path) -> None:
    """Keep a dump: a JSON line per event, answer and place."""
    with file.open("wb") as out:
        for name in ("events", "aborted", "answers", "commands", "dead"):
            for one in getattr(dump, name):
                out.write(orjson.dumps({name: asdict(one)}, default=str) + b"\n")
        rest = {"ends": dump.ends, "committed": dump.committed}
        places = {n: {"/".join(map(str, p)): at for p, at in f.items()} for n, f in rest.items()}
        out.write(orjson.dumps({**places, "stuck": list(dump.stuck)}) + b"\n")
