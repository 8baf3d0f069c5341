"""One table of errors: each code has one family, each family says who must act."""

import ast
import re
from collections.abc import Iterator

import pytest

from domain import errors
from domain.errors import CODES, FlexCoreError, Invalid, NotFound, Refused, error_of
from tests.source_tree import PACKAGES, source

FAMILIES = {family.__name__: family for family in FlexCoreError.__subclasses__()}


def raised() -> Iterator[tuple[str, str, str]]:
    """(place, family, code) of every error with a literal code in the source tree."""
    for path, module in source(*PACKAGES):
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                code = node.args[0] if node.args else None
                if node.func.id in FAMILIES and isinstance(code, ast.Constant):
                    yield f"{path}:{node.lineno}", node.func.id, str(code.value)


def test_every_code_in_the_source_tree_is_in_the_table_with_its_family() -> None:
    found = list(raised())
    assert len(found) > 20, "the search itself is broken"
    wrong = [
        (place, family, code)
        for place, family, code in found
        if CODES.get(code) != FAMILIES[family]
    ]
    assert wrong == []


def test_a_code_is_an_area_and_words() -> None:
    assert [code for code in CODES if not re.fullmatch(r"[a-z_]+\.[a-z_]+", code)] == []


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_family_has_its_status_its_grpc_code_and_its_exit_code(
    family: type[FlexCoreError],
) -> None:
    assert {"http_status", "grpc_code", "exit_code"} <= vars(family).keys()
    assert 400 <= family.http_status < 600
    assert family.exit_code in {3, 4, 5, 6, 7}


def test_the_tree_at_the_top_names_every_family() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert drawn == list(FAMILIES)


def test_an_error_keeps_its_parts() -> None:
    error = Refused("pipeline.not_active", "activate it first", pipeline_id="p1")
    assert (error.code, error.message, str(error)) == (
        "pipeline.not_active",
        "activate it first",
        "activate it first",
    )
    assert error.fields == {"pipeline_id": "p1"}


def test_a_code_belongs_to_one_family_only() -> None:
    with pytest.raises(AssertionError, match="another family"):
        Invalid("pipeline.not_active", "…")


@pytest.mark.parametrize("code", CODES)
def test_an_error_read_from_an_outcome_is_of_its_family(code: str) -> None:
    assert type(error_of(code, "…")) is CODES[code]


def test_a_code_of_a_newer_release_counts_as_refused() -> None:
    error = error_of("moon.full", "wait", phase=1)
    assert (type(error), error.code, error.fields) == (Refused, "moon.full", {"phase": 1})
    assert isinstance(error_of("pipeline.not_found", ""), NotFound)
