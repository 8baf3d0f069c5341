"""Every record FlexCore writes: its class, its name, its topic and its committed schema."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from domain.contexts import CONTEXTS
from schemas.avro import schema_of
from schemas.outcome import Outcome

NAMESPACE = "flexcore"


@dataclass(frozen=True, slots=True)
class Record:
    """`topic` is the topic's name without prefix; the subject is `<topic>-<full name>`."""

    cls: type
    full_name: str
    topic: str

    @property
    def path(self) -> str:
        """Where its schema stands below `schemas/avsc`."""
        return "/".join(self.full_name.split(".")[1:]) + ".avsc"

    @property
    def max_bytes(self) -> int:
        """What its topic takes, so that nothing larger need be looked at: 1 or 4 MiB."""
        return (4 if self.topic.endswith((".events", ".snapshots")) else 1) * 1024 * 1024


@cache
def records() -> dict[str, Record]:
    """All records by full name, in the order in which their schemas get ids."""
    found: dict[str, Record] = {}
    for context in CONTEXTS.values():
        for kind, classes in (
            ("commands", context.commands),
            ("events", context.events),
            ("snapshots", context.states),
        ):
            for cls in classes:
                name = f"{NAMESPACE}.{context.name}.{cls.__name__}"
                found[name] = Record(cls, name, f"{context.name}.{kind}")
    found[f"{NAMESPACE}.outcome.Outcome"] = Record(
        Outcome, f"{NAMESPACE}.outcome.Outcome", "outcomes"
    )
    return found


@cache
def full_names() -> dict[type, str]:
    """The full name of each record class."""
    return {record.cls: name for name, record in records().items()}


def derived(record: Record) -> dict[str, Any]:
    """The schema that the dataclass has now."""
    own = record.full_name.rpartition(".")[0]
    return schema_of(record.cls, lambda cls: own if cls is record.cls else namespace(cls))


def namespace(cls: type) -> str:
    """Of a type within records: its context's; what the contexts share counts as the pipeline's."""
    _, context, *within = cls.__module__.split(".")
    return f"{NAMESPACE}.{context if within else 'pipeline'}"


@cache
def committed(full_name: str) -> str:
    """The schema text that is released for a record."""
    text = (resources.files("schemas") / "avsc" / records()[full_name].path).read_text()
    return json.dumps(json.loads(text), separators=(",", ":"))


def write(folder: Path) -> list[Path]:
    """Write every derived schema below `folder`; returns the files that changed."""
    changed = []
    for record in records().values():
        path = folder / record.path
        text = json.dumps(derived(record), indent=2) + "\n"
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            changed.append(path)
    return changed


if __name__ == "__main__":
    for written in write(Path(__file__).parent / "avsc"):
        print(written)
