"""The pipeline file: what people write, and how what is wrong with it is named."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from domain.definition import OnError, Retry
from domain.errors import FlexCoreError, Invalid, TooLarge
from gateway.pipeline_file import MAX_BYTES, json_schema, plain_data, read_pipeline_file
from projections.values import step_value
from services.embedded.jars import ROOT

SEATTLE = b"""
pipeline_id: seattle-weather
name: Seattle weather by month
description: Monthly means from daily observations
steps:
  - id: read
    uses: flexcore.csv_read
    with: {path: examples/data/seattle-weather.csv}
  - id: monthly
    uses: flexcore.aggregate
    needs: [read]
    with: {rows: "${{ steps.read.output.rows }}", by: [month], mean: [temp_max]}
    retry: {attempts: 3, initial_s: 0.5, factor: 2, max_s: 30, jitter: true}
    timeout_s: 60
"""


def test_file_becomes_a_definition_with_defaults_filled_in() -> None:
    file = read_pipeline_file(SEATTLE)

    read, monthly = file.definition().steps
    assert (file.pipeline_id, file.name) == ("seattle-weather", "Seattle weather by month")
    assert (read.needs, read.on_error, read.retry, read.when) == ((), OnError.FAIL, None, None)
    assert read.with_json == '{"path":"examples/data/seattle-weather.csv"}'
    assert (monthly.needs, monthly.timeout_s) == (("read",), 60.0)
    assert monthly.retry == Retry(3, 0.5, 2.0, 30.0, True)


def test_json_and_yaml_mean_the_same() -> None:
    text = json.dumps(yaml.safe_load(SEATTLE), indent="\t").encode()

    assert read_pipeline_file(text) == read_pipeline_file(SEATTLE)


def test_dates_stay_the_text_they_are() -> None:
    assert plain_data(b"since: 2012-01-01") == {"since": "2012-01-01"}


def test_anchors_save_typing() -> None:
    assert plain_data(b"a: &r {attempts: 3}\nb: *r") == {"a": {"attempts": 3}, "b": {"attempts": 3}}


def test_times_of_day_stay_the_text_they_are() -> None:
    """YAML 1.1 counted to the base of 60: the run of a minute for one long line."""
    assert plain_data(b"a: 12:30\nb: 1:30:00.5\nc: 017\nd: 0x1f\ne: -1_000\nf: .5\ng: 1.5e+3") == {
        "a": "12:30",
        "b": "1:30:00.5",
        "c": 15,
        "d": 31,
        "e": -1_000,
        "f": 0.5,
        "g": 1_500.0,
    }
    assert plain_data(b"a: 1" + b":1" * 400_000)["a"].startswith("1:1:")


def test_an_exponent_needs_neither_point_nor_sign_as_in_json() -> None:
    assert plain_data(b"a: 1e-1\nb: 2.5e3\nc: .5e1\nd: 1e\ne: e1\nf: 09") == {
        "a": 0.1,
        "b": 2_500.0,
        "c": 5.0,
        "d": "1e",
        "e": "e1",
        "f": "09",
    }


def test_merged_mappings_save_typing() -> None:
    assert plain_data(b"a: &r {x: 1, y: 2}\nb: {<<: *r, y: 3}")["b"] == {"x": 1, "y": 3}


def billion_merges() -> bytes:
    lines = [f"a0: &a0 {{{', '.join(f'k{n}: 1' for n in range(10))}}}"]
    for n in range(1, 9):
        lines.append(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}")
    return "\n".join(lines).encode()


def test_the_largest_file_is_read_in_seconds() -> None:
    began = time.process_time()
    with pytest.raises(Invalid):
        plain_data(b"a:\n" + b"- x\n" * 260_000)
    with pytest.raises(Invalid, match="stands twice"):
        plain_data(b"{" + b",".join(b'"%d":1' % n for n in range(90_000)) + b',"89999":1}')
    assert time.process_time() - began < 30


def billion_laughs() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for n in range(1, 9):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]")
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "a map is required"),
        (b"[1, 2]", "a map is required"),
        (b"a: [", "line 1"),
        (b"a: 1\nb: 2\na: 3", "line 3: the key 'a' stands twice"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b"steps:\n- id: a\n  id: b", "line 3: the key 'id' stands twice"),
        (SEATTLE.replace(b"needs: [read]", b"nedds: [read]"), "steps[1].nedds"),
        (SEATTLE.replace(b"needs: [read]", b"needs: read"), "steps[1].needs"),
        (SEATTLE.replace(b"attempts: 3", b"attempts: many"), "steps[1].retry.attempts"),
        (SEATTLE.replace(b"timeout_s: 60", b"timeout_s: .inf"), "steps[1].timeout_s"),
        (SEATTLE.replace(b"by: [month]", b"by: [.nan]"), "steps[1].with"),
        (SEATTLE.replace(b"by: [month]", b"1: month"), "steps[1].with: the key 1"),
        (SEATTLE.replace(b"pipeline_id", b"id"), "pipeline_id"),
        (b"a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        (b"a: !!binary aGk=", "quote it"),
        (b"&a [*a]", "levels"),
        (billion_laughs(), "values"),
        (billion_merges(), "over 10000 keys"),
        (b"a: {" + b",".join(b"k%d: 1" % n for n in range(10_001)) + b"}", "over 10000 keys"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b'{"a": 1e999}', "out of range"),
        (b'{"a": ' + b"[" * 64 + b"]" * 64 + b"}", "nested deeper than 64 levels"),
        (b"[" * 5_000, "nested deeper"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested deeper"),
        (b"\xff\xfe", "UTF-8"),
        (b"a: 1\n---\nb: 2", "line 2"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(data: bytes, named: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_pipeline_file(data).definition()

    assert caught.value.code == "pipeline.invalid_definition"
    assert named in caught.value.message


def test_file_over_the_limit_is_not_read() -> None:
    with pytest.raises(TooLarge):
        read_pipeline_file(b"#" * (MAX_BYTES + 1))


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner)
    ),
    max_leaves=8,
)
STEPS = st.fixed_dictionaries(
    {"id": st.text("abc_", min_size=1, max_size=4), "uses": st.just("flexcore.derive")},
    optional={
        "needs": st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3),
        "with": st.dictionaries(st.text("abc", min_size=1, max_size=3), JSON_VALUES, min_size=1),
        "when": st.text("abc", max_size=5),
        "on_error": st.just("continue"),
        "timeout_s": st.floats(0.1, 1e5),
        "retry": st.fixed_dictionaries(
            {
                "attempts": st.integers(1, 9),
                "initial_s": st.floats(0, 9),
                "factor": st.floats(1, 9),
                "max_s": st.floats(0, 9),
                "jitter": st.booleans(),
            }
        ),
    },
)


@given(st.lists(STEPS, max_size=4))
def test_steps_are_shown_as_they_were_written(steps: list[dict[str, Any]]) -> None:
    text = json.dumps({"pipeline_id": "p", "name": "P", "steps": steps}).encode()

    definition = read_pipeline_file(text).definition()

    assert [step_value(step) for step in definition.steps] == steps


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
def test_whatever_the_bytes_are_the_answer_is_a_file_or_an_error(data: bytes) -> None:
    with suppress(FlexCoreError):
        read_pipeline_file(data).definition()


def test_on_and_no_are_words_as_in_yaml_1_2() -> None:
    data = plain_data(b"on: [month]\ncountry: no\nheader: true\n")
    assert data == {"on": ["month"], "country": "no", "header": True}


def test_the_schema_for_editors_is_the_committed_one() -> None:
    """`flexcore pipeline schema > docs/pipeline.schema.json` after a change."""
    committed = json.loads((ROOT / "docs" / "pipeline.schema.json").read_text())
    assert committed == json_schema()
    assert committed["$defs"]["StepIn"]["properties"]["id"]["pattern"].startswith("^[a-z]")
