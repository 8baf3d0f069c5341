"""A position is given out as text and taken back as it was given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from streams.positions import parse_position, position_text

POSITIONS = st.dictionaries(
    st.tuples(st.sampled_from(["pipeline", "execution"]), st.integers(0, 10_000)),
    st.integers(0, 10**18 - 1),
    max_size=20,
)


@given(POSITIONS)
def test_a_position_comes_back_as_it_was_given(position: dict[tuple[str, int], int]) -> None:
    assert parse_position(position_text(position)) == position


def test_a_position_reads_as_the_contract_says() -> None:
    position = {("pipeline", 0): 7, ("execution", 3): 12345}
    assert position_text(position) == "execution/3@12345,pipeline/0@7"


def test_the_position_of_nothing_is_empty() -> None:
    assert position_text({}) == ""
    assert parse_position("") == {}


def test_of_two_places_in_one_partition_the_later_counts() -> None:
    assert parse_position("execution/3@5, execution/3@9,execution/3@7") == {("execution", 3): 9}


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "execution",
        "execution/3",
        "execution@3",
        "execution/@3",
        "execution/3@",
        "execution/-1@3",
        "execution/3@-1",
        "execution/3@1.5",
        "execution/3@1/2",
        "execution/3@ 1",
        "execution/3@1;pipeline/0@2",
        "execution/3@" + "9" * 200,
        "execution/" + "9" * 50 + "@" + "9" * 30,
        "execution/٣@٤",
        ",".join(["execution/1@1"] * 2_000),
    ],
)
def test_what_is_no_position_is_invalid(text: str) -> None:
    with pytest.raises(Invalid, match="is no position") as refused:
        parse_position(text)
    assert refused.value.code == "query.invalid"
    assert len(refused.value.message) < 200


@given(st.text(max_size=200))
def test_any_text_is_a_position_or_invalid(text: str) -> None:
    try:
        position = parse_position(text)
    except Invalid:
        return
    assert parse_position(position_text(position)) == position
