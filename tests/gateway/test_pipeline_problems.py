"""What is wrong with a pipeline file is told with its line and column."""

import json
from pathlib import Path

import pytest

from gateway.pipeline_problems import FileProblem, problems_of
from plugins.builtin import BUILTIN
from services.embedded.jars import ROOT

HEAD = "pipeline_id: p\nname: P\nsteps:\n"
READ = "- id: read\n  uses: flexcore.csv_read\n  with: {path: a.csv}\n"
WHEN, BODY = "pipeline_id: p\nname: P\nschedule: ", "steps:\n" + READ
FILTER = "- id: a\n  uses: flexcore.filter\n  with:\n    rows: {}\n    where: {}\n"
READ_LONG = "- id: read\n  uses: flexcore.csv_read\n  with:\n    path: a.csv\n"


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
        ("\xff", 1, 1, "the value: a map is required"),
        ("pipeline_id: p\nname: 3\nsteps: []", 2, 1, "name: text is required"),
        ("pipeline_id: p\nname: ' '\nsteps:\n" + READ, 2, 1, "a name is 1 to 200 characters"),
        ("pipeline_id: P\nname: p\n" + HEAD[-7:] + READ, 1, 1, "an id is 1 to 63 small letters"),
        (HEAD + READ + "  timeout: 3", 7, 3, "steps[0].timeout: is no field that is known here"),
        (HEAD + READ + "  on_error: stop", 7, 3, "'fail' or 'continue' is required"),
        ("pipeline_id: p\nname: P\nsteps: []", 3, 1, "needs at least one step"),
        (HEAD + "- id: read\n  with: 1\n  uses: a.b", 5, 3, "steps[0].with: a map is required"),
        (HEAD + "- id: read", 4, 3, "is missing"),
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
        (WHEN + "{cron: 0 6 * *}\n" + BODY, 3, 12, "schedule.cron: 4 fields; there must be five"),
        (WHEN + "{zone: UTC}\n" + BODY, 3, 1, "schedule.cron: is missing"),
        (WHEN + "\n  cron: 0 6 * * *\n  zone: Mars\n" + BODY, 5, 3, "schedule.zone: there is no"),
        (WHEN + "{cron: 0 6 * * *, catch_up: 1}\n" + BODY, 3, 29, "schedule.catch_up: "),
        (HEAD + "- id: a\n  uses: acme.b", 5, 3, "uses 'acme.b', which is not among the steps"),
        (HEAD + "- id: a\n  uses: flexcore.filtr", 5, 3, "the nearest is flexcore.filter"),
        (
            HEAD + READ_LONG + "    sep: x",
            8,
            5,
            "with.sep: unknown field 'sep'; known: path, delimiter",
        ),
        (HEAD + "- id: a\n  uses: flexcore.csv_read", 4, 3, "with: field 'path' is missing"),
        (HEAD + FILTER.format("a", "row.n = 1"), 8, 5, "with.where: row.n = 1: column 7"),
        (HEAD + FILTER.format("a.b", "true"), 7, 5, 'a text and no rows; write "${{ a.b }}"'),
    ],
)
def test_each_problem_has_its_line(text: str, line: int, column: int, what: str) -> None:
    found = told(text)[-1]
    assert (found[:2], what in found[2]) == ((line, column), True), found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps:\n\t- id: a", "indent with blanks, not with tabs"),
        ("a: {rows: ${{ steps.a.output.rows }}, b: 1}", "put a template in quotes"),
        ('a: "C:\\data"', "use single ones, or /"),
        ("name: Report: daily", "put a text that holds ': ' in quotes"),
        ("a: 1\n---\nb: 2", "a file holds one pipeline"),
        ("a:\n  - b: 1\n   \u00a0c: 2", "is a no-break space"),
    ],
)
def test_a_usual_mistake_in_yaml_is_told_with_what_to_do(text: str, says: str) -> None:
    (found,) = told(text)
    assert says in found[2]


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
