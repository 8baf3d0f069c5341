"""What stands behind --input is looked at before anything is asked of the api."""

from pathlib import Path

import pytest

from domain.errors import Invalid
from gateway.cli.pipeline import read_input


def test_the_input_is_json_or_a_file_of_it(tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"a": [1]}')

    assert read_input(None) == {}
    assert read_input('{"a": 1}') == {"a": 1}
    assert read_input(f"@{file}") == {"a": [1]}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{a: 1}", "quote it for the shell"),
        ("[" * 10_000 + "]" * 10_000, "nested deeper than 64 levels"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ('{"a": NaN}', "NaN is no JSON"),
    ],
)
def test_what_no_door_would_take_is_told_at_once(text: str, what: str) -> None:
    with pytest.raises(Invalid, match=what) as refused:
        read_input(text)
    assert refused.value.code == "execution.invalid_input"
