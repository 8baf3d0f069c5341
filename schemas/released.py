"""What was released, and whether the schemas of today go together with it.

classes ─► avsc/ (as they are now) ─► released.jsonl (as every release had them; only added to)
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from domain.errors import Invalid
from schemas import catalogue
from schemas.compatibility import breaks, parsed
from schemas.levels import Level, level_of

AVSC = Path(__file__).parent / "avsc"
FILE = Path(__file__).parent / "released.jsonl"


@dataclass(frozen=True, slots=True)
class Released:
    """`version` counts the schemas of a record from 1; `topic` is its topic without prefix."""

    record: str
    version: int
    release: str
    topic: str
    schema: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a record's schema; `version` is the released one it breaks with, or 0."""

    record: str
    field: str
    level: Level
    version: int
    what: str
    fix: str


def released(file: Path = FILE) -> list[Released]:
    """All that was released, the oldest first."""
    if not file.exists():
        return []
    return [_line(text) for text in file.read_text("utf-8").splitlines()]


def release(
    name: str, *, folder: Path = AVSC, file: Path = FILE, dry_run: bool = False
) -> list[Released]:
    """Add the schemas in `folder` that no release has had yet; returns them.

    Raises Invalid where one does not go together with what was released.
    """
    before = released(file)
    found = problems(folder, before)
    if found:
        raise Invalid(
            "schema.incompatible",
            f"{len(found)} problems with the schemas; none must be left; see `flexcore schema check`",
            problems=[f"{one.record} {one.field}: {one.what}; {one.fix}" for one in found],
        )
    added = []
    for record in catalogue.records().values():
        if _level(record.topic) == "NONE":
            continue
        schema = json.loads((folder / record.path).read_text("utf-8"))
        versions = [one for one in before if one.record == record.full_name]
        if schema not in [json.loads(one.schema) for one in versions]:
            number = max((one.version for one in versions), default=0) + 1
            text = json.dumps(schema)
            added.append(Released(record.full_name, number, name, record.topic, text))
    if added and not dry_run:
        _append(file, added)
    return added


def _append(file: Path, added: Sequence[Released]) -> None:
    with file.open("a", encoding="utf-8") as out:
        for one in added:
            out.write(json.dumps({**asdict(one), "schema": json.loads(one.schema)}) + "\n")


def problems(folder: Path, before: Sequence[Released]) -> list[Problem]:
    """Everything that is wrong with the records of the catalogue and their schemas in `folder`."""
    found: list[Problem] = []
    for record in catalogue.records().values():
        level = _level(record.topic)
        schema = catalogue.derived(record)
        if not _is(folder / record.path, schema):
            what, fix = "the class is not as its schema is written", "run `flexcore schema write`"
            found.append(Problem(record.full_name, "", level, 0, what, fix))
        versions = [
            (one.version, parsed(one.schema)) for one in before if one.record == record.full_name
        ]
        found += [
            Problem(record.full_name, one.field, level, one.version, one.what, one.fix)
            for one in breaks(parsed(json.dumps(schema)), versions, level)
        ]
    return found + _gone(before)


def _gone(before: Sequence[Released]) -> list[Problem]:
    """Records that were released and are no more: what was written as them could not be read."""
    last = {one.record: one for one in before if one.record not in catalogue.records()}
    what = "it was released and is no record any more"
    fix = "keep its class, so that what was written can be read"
    return [
        Problem(one.record, "", _level(one.topic), one.version, what, fix)
        for one in last.values()
        if _level(one.topic) != "NONE"
    ]


def _is(path: Path, schema: object) -> bool:
    return path.exists() and json.loads(path.read_text("utf-8")) == schema


def _level(topic: str) -> Level:
    level = level_of(topic)
    assert level is not None, f"{topic} has no level; see schemas/levels.py"
    return level


def _line(text: str) -> Released:
    found = json.loads(text)
    return Released(**{**found, "schema": json.dumps(found["schema"])})
