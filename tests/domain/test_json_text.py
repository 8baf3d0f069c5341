"""JSON of clients is bounded and means one thing to every reader."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.json_text import MAX_DEPTH, MAX_KEYS, parse_json

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner)
    ),
    max_leaves=10,
)


@given(VALUES)
def test_what_json_can_say_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize("around", ["[{}]", '{{"a": {}}}'])
def test_it_has_64_levels_at_most(around: str) -> None:
    def nested(levels: int) -> str:
        text = "1"
        for _ in range(levels):
            text = around.format(text)
        return text

    parse_json(nested(MAX_DEPTH))
    for levels in (MAX_DEPTH + 1, 500, 10_000):
        with pytest.raises(ValueError, match="nested deeper than 64 levels"):
            parse_json(nested(levels))


def test_brackets_in_texts_are_no_levels() -> None:
    assert parse_json('["[[[[{{{{' + "[{:" * 20_000 + '"]')


def keys(count: int) -> str:
    return json.dumps({f"k{n}": {"a": 1} for n in range(count // 2)})


def test_it_has_ten_thousand_keys_at_most() -> None:
    parse_json(keys(MAX_KEYS))
    with pytest.raises(ValueError, match="over 10000 keys"):
        parse_json(keys(MAX_KEYS + 2))


def test_of_a_list_each_item_may_have_as_many() -> None:
    """A list of commands is a list of documents."""
    parse_json(f"[{keys(MAX_KEYS)}, {keys(MAX_KEYS)}]")
    with pytest.raises(ValueError, match="over 10000 keys"):
        parse_json(f"[{keys(2)}, {keys(MAX_KEYS + 2)}]")


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '[{"b": {"x": 1, "a": 2, "\\u0061": 3}}]'])
def test_a_key_stands_once(text: str) -> None:
    with pytest.raises(ValueError, match="the key 'a' stands twice"):
        parse_json(text)


def test_the_key_that_stands_twice_is_found_at_once() -> None:
    """The first search took hours for a text of 1 MiB."""
    many = ",".join(f'"k{n}":0' for n in range(80_000))
    began = time.process_time()
    with pytest.raises(ValueError, match="the key 'k79999' stands twice"):
        parse_json(f'{{{many},"k79999":1}}')
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", str(2**64), str(-(2**63) - 1), "9" * 9_999],
)
def test_a_number_that_readers_would_change_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match=r"no JSON|out of range|over 64 bits"):
        parse_json(f'{{"a": {number}}}')


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[1,]", "\ufeff1", "1 2"])
def test_what_is_no_json_at_all_is_told_with_its_place(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        parse_json(text)
