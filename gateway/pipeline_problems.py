"""Everything that is wrong with a pipeline file, each with its line.

bytes ─► shape (pydantic) ─► rules of definitions, expressions, known steps ─► where that stands in the text
"""

import difflib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from domain.definition import Definition, problems
from domain.errors import Invalid
from domain.pipeline.pipeline import MAX_DESCRIPTION, MAX_NAME, SLUG
from domain.schedule import schedule_problems
from gateway.pipeline_file import PipelineFile, plain_data
from gateway.strict import dotted, said
from plugins.builtin.fields import field_problems
from plugins.templates import expression_problems

Path = Sequence[str | int]

_LINE = re.compile(r"line (\d+)(?:, column (\d+))?: (.*)", re.DOTALL)
_OF_STEP = re.compile(r"step '([^']*)': (.*)", re.DOTALL)
_FIELD = re.compile(r"`?([a-z_]+)`?((?:\.[A-Za-z0-9_-]+|\[\d+\])*)")
_PART = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True, order=True)
class FileProblem:
    """Line and column count from 1; a column of 0 is not known."""

    line: int
    column: int
    what: str


def problems_of(data: bytes, known_steps: Collection[str] | None = None) -> list[FileProblem]:
    """All that is wrong, in the order of the lines; of a file that cannot be read, the first.

    `known_steps` are the only ones that may be used, where they are given.
    """
    try:
        value = plain_data(data)
    except Invalid as error:
        return [_unread(error.message)]
    places = _Places(data)
    try:
        file = PipelineFile.model_validate(value)
        definition, schedule = file.definition(), file.timed()
    except ValidationError as error:
        wrong = ((one["loc"], f"{dotted('', one['loc'])}: {said(one)}") for one in error.errors())
        return sorted(places.problem(loc, what) for loc, what in wrong)
    found = [*problems(definition)] or expression_problems(definition)
    if known_steps is not None:
        found += _built_in_problems(definition, known_steps)
    steps = [step.id for step in definition.steps]
    told = [places.problem(_path(one, steps), one) for one in found]
    told += [places.problem((field,), what) for field, what in _head_problems(file)]
    for one in schedule_problems(schedule) if schedule is not None else ():
        told.append(places.problem(one.partition(":")[0].split("."), one))
    return sorted(told)


def _head_problems(file: PipelineFile) -> Iterator[tuple[str, str]]:
    """(field, what), as the domain judges them one after the other."""
    if not SLUG.fullmatch(file.pipeline_id):
        what = "1 to 63 small letters, digits and -, starting with a letter or digit"
        yield "pipeline_id", f"pipeline_id: {file.pipeline_id[:100]!r}; an id is {what}"
    if not file.name.strip() or len(file.name) > MAX_NAME:
        yield "name", f"name: a name is 1 to {MAX_NAME} characters"
    if len(file.description) > MAX_DESCRIPTION:
        yield "description", f"description: at most {MAX_DESCRIPTION} characters"


def _built_in_problems(definition: Definition, known_steps: Collection[str]) -> list[str]:
    """What is known of the steps that come with FlexCore: their names and their fields."""
    found: list[str] = []
    for step in definition.steps:
        if step.uses in known_steps:
            wrong = field_problems(step.uses, json.loads(step.with_json))
            found += [f"step '{step.id}': {one}" for one in wrong]
        else:
            (nearest,) = difflib.get_close_matches(step.uses, known_steps, n=1, cutoff=0.0)
            found.append(
                f"step '{step.id}': uses {step.uses!r}, which is not among the steps that come "
                f"with FlexCore; the nearest is {nearest}"
            )
    return found


def _unread(message: str) -> FileProblem:
    found = _LINE.fullmatch(message)
    if found is None:
        return FileProblem(1, 0, message)
    return FileProblem(int(found[1]), int(found[2] or 0), found[3])


def _path(what: str, steps: Sequence[str]) -> Path:
    """Where the subject of such a sentence stands: `step 'read': with.path: …`."""
    found = _OF_STEP.fullmatch(what)
    if found is None or found[1] not in steps:
        named = [
            n for n, step_id in enumerate(steps) if re.search(rf"\b{re.escape(step_id)}\b", what)
        ]
        return ("steps", named[-1]) if named else ("steps",)
    field = _FIELD.match(found[2])
    inner = list(_parts(field[1], field[2])) if field else []
    return ("steps", steps.index(found[1]), *inner)


def _parts(first: str, rest: str) -> Iterator[str | int]:
    yield first
    for name, number in _PART.findall(rest):
        yield int(number) if number else name


class _Places:
    """Where values stand in YAML or JSON text that could be read."""

    def __init__(self, data: bytes) -> None:
        # JSON may be indented by tabs, YAML may not; a blank stands in the same column.
        text = data.decode().replace("\t", " ")
        try:
            self._root: Any = yaml.compose(text, Loader=yaml.CSafeLoader)
        except yaml.YAMLError:
            # Some JSON is no YAML: a key of over 1,024 characters, for one.
            self._root = None

    def problem(self, path: Path, what: str) -> FileProblem:
        """The problem where the path leads, or as far as it does."""
        if self._root is None:
            return FileProblem(1, 0, what)
        node, mark = self._root, self._root.start_mark
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            mark, node = found
        return FileProblem(mark.line + 1, mark.column + 1, what)


def _child(node: Any, part: str | int) -> tuple[Any, Any] | None:
    """(where it begins, with its key; the value)"""
    if isinstance(node, yaml.MappingNode):
        pairs = (pair for pair in node.value if pair[0].value == part)
        return next(((key.start_mark, value) for key, value in pairs), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark, node.value[part]
    return None
