"""The expression dialect: what it says, what it refuses, and in which words."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.expressions import MAX_LENGTH, ExpressionError, evaluate, members_of, problem
from plugins.functions import FUNCTIONS

ROW = {
    "date": "2012-03-31T14:00:00",
    "city": "Zürich",
    "warm": 12.5,
    "days": 3,
    "none": None,
    "max temp": 1.5,
    "list": [1, 2],
}

TABLE = [
    ("row.days + 1", 4),
    ("(row.warm - 32.0) * 5.0 / 9.0", (12.5 - 32.0) * 5.0 / 9.0),
    ("double(row.days) * 1.5", 4.5),
    ('row["max temp"]', 1.5),
    ("row.list[1]", 2),
    ("row.warm > 10.0 && !(row.days == 4)", True),
    ("row.days in [1, 2, 3]", True),
    ("row.none == null ? 'missing' : 'there'", "missing"),
    ("has(row.snow)", False),
    ("substring(row.date, 0, 7)", "2012-03"),
    ("row.date.substring(11)", "14:00:00"),
    ("size(row.city)", 6),
    ("year(row.date)", 2012),
    ("month(row.date)", 3),
    ("day(row.date)", 31),
    ("hour(row.date)", 14),
    ("month('2012-03')", 3),
    ("hour('2012/03/31 14:00')", 14),
    ("int('03')", 3),
    ("string(row.days)", "3"),
    ("round(row.warm / 7.0, 2)", 1.79),
    ("floor(-1.5)", -2),
    ("ceil(1.2)", 2),
    ("abs(-3)", 3),
    ("upper(row.city)", "ZÜRICH"),
    ("lower(trim('  A '))", "a"),
    ("replace('a-b', '-', '+')", "a+b"),
    ("coalesce(row.none, row.days)", 3),
    ("row.city.startsWith('Z') && row.city.endsWith('h') && row.city.contains('ri')", True),
    ("row.city.matches('^Z.*h$')", True),
    ("[row.days, 'x', null]", [3, "x", None]),
]


@pytest.mark.parametrize(("text", "value"), TABLE)
def test_an_expression_has_its_value(text: str, value: object) -> None:
    assert problem(text, {"row"}) is None
    assert evaluate(text, {"row": ROW}) == value


def test_the_table_shows_every_function() -> None:
    shown = " ".join(text for text, _ in TABLE)
    assert [name for name in FUNCTIONS if f"{name}(" not in shown] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "an empty expression"),
        ("1 +", "column 4: mismatched input 'end'"),
        ("a b", "column 3"),
        ("'open", "column 1: unexpected"),
        ("row.days = 3", "column 10: unexpected '='; write =="),
        ("row.days > 1 and row.days < 3", "column 14: mismatched input 'and'; write && for and"),
        ("not row.none", "; write ! for not"),
        ("row.days <> 1", "; write != for <>"),
        ("row.days is null", "; write == for is"),
        ("row.days ** 2", "; write x * x for **"),
        ("${{ row.days }}", "an expression stands here by itself, without ${{ }}"),
        (
            "row.月",
            "column 5: unexpected '月'; a name of other letters than a-z stands in brackets",
        ),
        ("frobnicate(1)", "unknown function 'frobnicate'"),
        ("[1, 2].map(x, x)", "unknown function 'map'"),
        ("{'a': 1}", "column 1: unexpected '{'"),
        ("1u", "column 2: unexpected 'u'"),
        ("b'bytes'", "column 2: unexpected"),
        ("'''three'''", "unexpected"),
        ("(" * 400 + "1" + ")" * 400, "nested too deeply"),
        ("1" + "+1" * MAX_LENGTH, f"at most {MAX_LENGTH}"),
        ("row.a + steps", "column 9: unknown name 'steps'; known: row"),
        ("__import__('os')", "unknown function"),
    ],
)
def test_a_wrong_expression_is_named_with_its_place(text: str, says: str) -> None:
    found = problem(text, {"row"})
    assert found is not None
    assert says in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("row.snow", "there is no field 'snow'"),
        ("row.days + row.warm", "convert one by int(x), double(x)"),
        ("row.days / 0", "division by zero"),
        ("month(row.days)", "month takes text, not 3"),
        ("month('31.3.2012')", "month takes a date like '2012-03-31'"),
        ("substring(row.city, 0, 9)", "text with 6 characters"),
        ("int('x')", "int"),
        ("abs('x') == 1 || true", "abs takes a number"),
    ],
)
def test_an_expression_that_fails_says_why(
    text: str, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, {"row": ROW})
    assert says in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("row.a + row['b c'] + other.d", {"a", "b c"}),
        ("row.a.b.c", {"a"}),
        ("row.date.substring(0, 7)", {"date"}),
        ("row[row.a]", None),
        ("size(row)", None),
        ("row.size()", None),
        ("1 + 1", set()),
    ],
)
def test_members_are_those_an_expression_can_read(text: str, members: set[str] | None) -> None:
    assert members_of(text, "row") == members


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_has_a_problem_in_one_line(text: str) -> None:
    found = problem(text)
    assert found is None or (found and "\n" not in found)


@given(st.text(alphabet="row.ab[]()'\"+-*/<>=!&|?:,01. \\u", max_size=40))
def test_what_has_no_problem_evaluates_or_says_why(text: str) -> None:
    if problem(text, {"row"}) is None:
        with suppress(ExpressionError):
            evaluate(text, {"row": ROW})
