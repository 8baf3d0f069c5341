"""What is fuzzed: a module each, with `check(data)`, which raises for a finding, and `seeds()`."""

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, cast

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"

TARGETS = {
    "commands": "bodies of our own records, and what the judge makes of commands",
    "foreign": "schemas of others and bodies under them",
    "headers": "keys and headers of records",
    "positions": "positions, expected versions, waits and ids in headers",
    "cursors": "cursors of lists and of all events",
    "pipeline_files": "pipeline files in YAML and JSON",
    "bodies": "JSON bodies at the REST door",
}


class Target(Protocol):
    check: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]


def target(name: str) -> Target:
    """The module of a target."""
    return cast(Target, importlib.import_module(f"tests.fuzz.{name}"))


def recorded(name: str) -> list[Path]:
    """The inputs that are kept: what was found once, so that it stays mended."""
    return sorted((CORPUS / name).glob("*"))
