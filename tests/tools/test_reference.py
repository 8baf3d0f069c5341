"""The pages of docs/reference say what the code says now, and leave nothing of it out."""

import ast
import re
from collections.abc import Iterator

import pytest

from domain.errors import CODES, FlexCoreError
from services.cli import COMMANDS
from tests.source_tree import PACKAGES, ROOT, source
from tools.reference import rest
from tools.reference.__main__ import FOLDER, stale
from tools.reference.error_codes import ALONE, WHERE
from tools.reference.meanings import MEANINGS

NO_CODES = {
    *("settings.xml", "stack.lock", "stack.log", "faults.jsonl"),
    *("http.disconnect", "http.request"),
}
"""Files and types of messages that look like a code of a known area."""
FAILURES = {family.__name__ for family in FlexCoreError.__subclasses__()} | {
    *("StepFailed", "Failed", "_end", "_failed", "_problem")
}
"""What is called with a code as its first text."""


def texts() -> Iterator[str]:
    """Every text in the source tree that could be a code."""
    for _, module in source(*PACKAGES):
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def raised() -> Iterator[str]:
    """The codes that something fails with, also those of an area that nobody knows yet."""
    for _, module in source(*PACKAGES):
        for node in ast.walk(module):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                firsts = [one.value for one in node.args if isinstance(one, ast.Constant)]
                if name in FAILURES and firsts and isinstance(firsts[0], str):
                    yield firsts[0]


def is_code(text: str) -> bool:
    return re.fullmatch(r"[a-z_]+\.[a-z_]+", text) is not None


def page(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def test_no_page_is_stale() -> None:
    assert stale() == [], "run: python -m tools.reference"


def test_every_code_that_can_be_raised_has_a_section() -> None:
    found = list(filter(is_code, raised()))
    assert len(found) > 100, "the search itself is broken"

    assert (set(CODES) | set(found) | set(ALONE)) - set(MEANINGS) == set()


def test_every_text_that_looks_like_a_code_of_a_known_area_is_one() -> None:
    areas = {code.partition(".")[0] for code in MEANINGS}
    found = {text for text in texts() if is_code(text) and text.partition(".")[0] in areas}

    assert found - set(MEANINGS) - NO_CODES == set()


def test_no_section_is_of_a_code_that_does_not_exist() -> None:
    script = (ROOT / "flexcore").read_text("utf-8")
    of_script = {f"setup.{name}" for name in re.findall(r"\bfail (\w+) ", script)}
    of_site = set(re.findall(r"setup\.\w+", (ROOT / "tools" / "docs.py").read_text("utf-8")))

    known = set(CODES) | set(texts()) | of_script | of_site | {"usage"}
    assert set(MEANINGS) - known == set()
    assert of_script <= set(MEANINGS)


def test_a_code_of_no_family_says_where_it_shows() -> None:
    of_none = set(MEANINGS) - set(CODES)

    assert {code for code in of_none if code.partition(".")[0] not in WHERE} == set(ALONE)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_a_section(command: object) -> None:
    assert f"\n## {command.name}\n" in page("cli.md")


def test_every_route_has_a_section() -> None:
    text = page("rest.md")

    for path, operations in rest.document()["paths"].items():
        for method in operations:
            assert f"\n### {method.upper()} {path}\n" in text


def test_every_metric_in_the_source_tree_is_told() -> None:
    called = [
        node
        for path in (*ROOT.glob("*/*.py"), *ROOT.glob("gateway/*/*.py"))
        if path.parts[-2] != "tests"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in {"Counter", "Gauge", "Histogram"}
    ]
    names = {
        str(node.args[0].value)
        for node in called
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    assert len(names) > 15, "the search itself is broken"

    told = page("metrics.md")
    assert [name for name in sorted(names) if not re.search(rf"`{name}(_total)?`", told)] == []
