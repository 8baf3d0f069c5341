"""What is wrong with a pipeline file is told with its line and column."""

import json
from pathlib import Path

import pytest

from gateway.pipeline_problems import FileProblem, problems_of
from plugins.builtin import BUILTIN
from services.embedded.jars import ROOT

HEAD = "pipeline_id: p\nname: P\nsteps:\n"
READ = "- id: read\n  uses: flexcore.csv_read\n  with: {path: a.csv}\n"


def told(text: str) -> list[tuple[int, int, str]]:
    return [(one.line, one.column, one.what) for one in problems_of(text.encode(), BUILTIN)]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_the_examples_are_sound(path: Path) -> None:
    assert problems_of(path.read_bytes(), BUILTIN) == []


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("a: [", 1, 5, "expected the node content"),
        ("a: 1\nb: 2\na: 3", 3, 0, "the key 'a' stands twice"),
        ("\xff", 1, 1, "valid dictionary"),
        ("pipeline_id: p\nname: 3\nsteps: []", 2, 1, "valid string"),
        ("pipeline_id: p\nname: P\nsteps: []", 3, 1, "needs at least one step"),
        (HEAD + "- id: read\n  with: 1\n  uses: a.b", 5, 3, "valid dictionary"),
        (HEAD + "- id: read", 4, 3, "Field required"),
        (HEAD + READ + "  timeout_s: 0", 7, 3, "timeout_s is 0"),
        (HEAD + READ + "  retry: {attempts: 0}", 7, 11, "retry.attempts is 0"),
        (HEAD + READ + "  needs: [gone]", 7, 3, "needs 'gone', which is no step"),
        (HEAD + READ + "  when: 'steps.'", 7, 3, "step 'read': when: "),
        (HEAD + READ + READ, 7, 3, "step id 'read' is used twice"),
        (HEAD + READ + "  needs: [read]", 4, 3, "wait for each other: read → read"),
        (
            HEAD + "- id: a\n  uses: flexcore.derive\n  with:\n    set:\n      b: '${{ x }}'",
            8,
            7,
            "with.set.b: ${{ x }}: column 1: unknown name 'x'",
        ),
        (HEAD + "- id: a\n  uses: acme.b", 5, 3, "uses 'acme.b', which is not among flexcore."),
    ],
)
def test_each_problem_has_its_line(text: str, line: int, column: int, what: str) -> None:
    found = told(text)[-1]
    assert (found[:2], what in found[2]) == ((line, column), True), found


def test_all_of_them_are_told_in_the_order_of_the_lines() -> None:
    text = HEAD + READ + "  timeout_s: 0\n- id: B\n  uses: nothing\n"
    assert [one[0] for one in told(text)] == [7, 8, 9, 9]


def test_json_has_lines_too_with_tabs_or_without() -> None:
    value = {"pipeline_id": "p", "name": "P", "steps": [{"id": "a", "uses": "a.b", "needs": ["c"]}]}
    for indent in ("\t", 2):
        (found,) = problems_of(json.dumps(value, indent=indent).encode())
        assert found.line == 8
        assert found.what.startswith("step 'a': needs 'c'")


def test_steps_are_not_looked_up_where_none_are_given() -> None:
    assert problems_of((HEAD + "- id: a\n  uses: acme.b").encode()) == []
    assert FileProblem(1, 0, "a") < FileProblem(2, 0, "a")


@pytest.mark.parametrize("key", [b"k" * 2_000, b"a\x7f"])
def test_json_that_is_no_yaml_is_looked_at_without_lines(key: bytes) -> None:
    data = b'{"pipeline_id": "p", "name": "P", "steps": [], "' + key + b'": 1}'
    (found,) = problems_of(data)
    assert (found.line, found.column) == (1, 0)
