"""What the table of fields says is what the steps take, and what they ask for."""

import importlib
import re
from pathlib import Path

import pytest

from plugins.builtin import BUILTIN
from plugins.builtin.fields import FIELDS, field_problems
from plugins.steps import StepFailed
from tests.plugins.running import Bench


def test_the_table_has_every_step() -> None:
    assert FIELDS.keys() == BUILTIN.keys()


@pytest.mark.parametrize("uses", BUILTIN)
def test_the_table_has_the_fields_that_the_step_takes(uses: str, tmp_path: Path) -> None:
    refused = Bench(tmp_path).refusal(uses.removeprefix("flexcore."), nonsense=1)

    known = re.fullmatch(r"unknown field 'nonsense'; known: (.*)", refused.message)
    assert known is not None
    assert {*FIELDS[uses].required, *FIELDS[uses].optional} == set(known[1].split(", "))


@pytest.mark.parametrize("uses", BUILTIN)
def test_a_step_without_a_required_field_is_told_before_it_runs(uses: str, tmp_path: Path) -> None:
    values = dict.fromkeys([*FIELDS[uses].required, *FIELDS[uses].optional], "x")
    for name in FIELDS[uses].required:
        config: dict[str, object] = {key: value for key, value in values.items() if key != name}
        assert f"with: field '{name}' is missing" in list(field_problems(uses, config))
    with pytest.raises(StepFailed):
        Bench(tmp_path).run(uses.removeprefix("flexcore."))


def test_steps_of_others_are_left_alone() -> None:
    assert list(field_problems("acme.read", {"anything": 1})) == []


def test_the_modules_of_the_table_are_there() -> None:
    for place in BUILTIN.values():
        assert importlib.import_module(place.partition(":")[0])
