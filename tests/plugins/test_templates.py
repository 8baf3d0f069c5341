"""Templates in a step's `with`: values, texts, and the problems they can have."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.definition import Definition, OnError, Step
from plugins.expressions import ExpressionError
from plugins.templates import (
    condition_problems,
    expression_problems,
    holds,
    references,
    render,
    template_problems,
)

ROWS = [{"month": 1, "a": 2.0}, {"month": 2, "a": None}]
VARIABLES = {
    "steps": {
        "read": {"status": "succeeded", "output": {"rows": ROWS, "count": 2, "name": "x"}},
        "look": {"status": "failed", "error": {"code": "step.timeout"}},
    },
    "input": {"day": "2026-03-01", "limits": [1, 5]},
    "execution": {"id": "e1", "pipeline_id": "weather", "revision": 3, "started_at": "T"},
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def step(id: str, *needs: str, with_: object) -> Step:
    return Step(id, "flexcore.filter", needs, OnError.FAIL, None, None, None, json.dumps(with_))


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${{ steps.read.output.rows }}", ROWS),
        ("${{ steps.read.output.rows[1].month }}", 2),
        ('${{ steps.read.output["count"] }}', 2),
        ("${{ steps.read.output.count + 1 }}", 3),
        ("${{ steps.read.output.count > 1 }}", True),
        ("n=${{ steps.read.output.count }}, ${{ steps.read.output.name }}", "n=2, x"),
        ("${{ steps.read.output.count }}${{ steps.read.output.count }}", "22"),
        ("first ${{ steps.read.output.rows[0] }}", 'first {"month": 1, "a": 2.0}'),
        ("${{ input.limits }}", [1, 5]),
        ("${{ input.day }}/${{ execution.id }}", "2026-03-01/e1"),
        ("${{ execution.revision + size(input.limits) }}", 5),
        ("${{ steps.look.error.code }}", "step.timeout"),
        ("${{ '${{' }}", "${{"),
        ("no template", "no template"),
    ],
)
def test_a_template_yields_its_value(template: str, value: object) -> None:
    assert template_problems(json.dumps({"x": template})) == []
    assert render({"x": [template]}, VARIABLES) == {"x": [value]}


def test_rows_keep_the_order_of_their_columns() -> None:
    row = dict.fromkeys("zyxwvutsrq", 1)
    rendered = render("${{ steps.a.output.rows }}", {"steps": {"a": {"output": {"rows": [row]}}}})
    assert json.dumps(rendered) == json.dumps([row])


def test_what_a_value_holds_is_not_a_template() -> None:
    output = {"output": {"text": "${{ steps.b.output.secret }}"}}
    rendered = render("${{ steps.a.output.text }}!", {"steps": {"a": output}})
    assert rendered == "${{ steps.b.output.secret }}!"


def test_a_missing_output_is_named_with_its_template() -> None:
    with pytest.raises(ExpressionError, match=r"steps\.read\.output\.rowz .*there is no 'rowz'"):
        render("${{ steps.read.output.rowz }}", VARIABLES)


@pytest.mark.parametrize(
    ("with_json", "problem"),
    [
        ('{"a": "${{ env.x }}"}', "unknown name 'env'; known: execution, input, steps"),
        ('{"a": "${{ steps }}"}', "only steps.<id>.output, .status and .error can be used"),
        ('{"a": "${{ steps[0].output }}"}', "only steps.<id>.output"),
        ('{"a": "${{ steps.x.error.message }}"}', "an error has a code, and nothing else"),
        ('{"a": "${{ steps.x.attempt }}"}', "only steps.<id>.output"),
        ('{"a": "${{ execution }}"}', "execution has id, pipeline_id, revision, started_at"),
        ('{"a": "${{ execution.input }}"}', "execution has id, pipeline_id"),
        ('{"a": {"b": ["${{ steps.x.output.n + }}"]}}', "with.a.b[0]: "),
        ('{"a": "${{ }}"}', "an empty expression"),
        ('{"a": "${{ steps.x.output"}', "a template without its end"),
        ('{"${{ steps.x.output }}": 1}', "only values may hold templates"),
        ('{"rows": {"$blob": "sha256:0", "bytes": 1}}', "'$blob' is reserved"),
        ("[1]", "not a JSON object"),
        ("{", "no JSON"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "nested more than"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "no JSON"),
    ],
)
def test_a_wrong_template_is_named_with_its_place(with_json: str, problem: str) -> None:
    (found, *_) = template_problems(with_json)
    assert problem in found


def test_references_are_the_steps_whose_output_is_used() -> None:
    text = '{"a": "${{ steps.x.output.rows }} ${{ steps.y.output.n + steps.z.output.m }}", "b": "steps.no.output"}'
    assert references(text) == {"x", "y", "z"}


def test_a_step_may_use_what_is_done_before_it() -> None:
    read = step("read", with_={})
    dated = step("dated", "read", with_={"rows": "${{ steps.read.output.rows }}"})
    later = step("later", "dated", with_={"rows": "${{ steps.read.output.rows }}"})
    assert expression_problems(Definition((read, dated, later))) == []


def test_a_step_that_uses_what_it_does_not_need_is_named() -> None:
    read = step("read", with_={})
    other = step("other", with_={"rows": "${{ steps.read.output.rows }}"})
    itself = step("itself", with_={"rows": "${{ steps.itself.output.rows }}"})
    assert expression_problems(Definition((read, other, itself))) == [
        "step 'other': uses steps.read but does not need it",
        "step 'itself': uses steps.itself but does not need it",
    ]


def test_needs_in_a_circle_end_the_search() -> None:
    one = step("one", "two", with_={"rows": "${{ steps.two.output.rows }}"})
    two = step("two", "one", with_={})
    assert expression_problems(Definition((one, two))) == []


@pytest.mark.parametrize(
    ("when", "truth"),
    [
        ("steps.read.output.count > 1", True),
        ("steps.look.status == 'succeeded'", False),
        ("'2026' in [input.day] || execution.revision < 2", False),
        ("true", True),
    ],
)
def test_a_condition_is_true_or_false(when: str, truth: bool) -> None:
    assert condition_problems(when) == []
    assert holds(when, VARIABLES) is truth


@pytest.mark.parametrize("when", ["1", "input.day", "null", "steps.read.output.none > 1"])
def test_a_condition_that_is_no_truth_is_an_error(when: str) -> None:
    with pytest.raises(ExpressionError):
        holds(when, VARIABLES)


def test_conditions_are_checked_as_templates_are() -> None:
    read, wrong = step("read", with_={}), replace(step("a", with_={}), when="steps.read.output.n >")
    unneeded = replace(step("b", with_={}), when="steps.read.output.n > 1")
    first, second = expression_problems(Definition((read, wrong, unneeded)))
    assert first.startswith("step 'a': when: ")
    assert second == "step 'b': uses steps.read but does not need it"


@given(value=JSON)
def test_a_whole_template_yields_any_value_unchanged(value: object) -> None:
    variables = {"steps": {"a": {"output": {"value": value}}}}
    assert render("${{ steps.a.output.value }}", variables) == value


@given(value=JSON)
def test_json_without_templates_renders_to_itself(value: object) -> None:
    if "${{" not in json.dumps(value):
        assert render(value, {}) == value


@given(text=st.text(alphabet="${} stepa.output'\"", max_size=60))
def test_a_text_without_problems_renders_or_says_why(text: str) -> None:
    with_json = json.dumps({"x": text})
    if not template_problems(with_json):
        assert all(isinstance(id, str) for id in references(with_json))
        with suppress(ExpressionError):
            render(text, {"steps": {"a": {"output": {}}}})
