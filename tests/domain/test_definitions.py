"""What a definition may say, and what is wrong with it, a sentence each."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.definition import (
    MAX_JSON_BYTES,
    MAX_STEPS,
    Definition,
    OnError,
    Retry,
    Step,
    holds_blob_reference,
    problems,
)
from tests.domain.samples import CHAIN, DIAMOND, ONE, TWICE, definition, step


def wrong(*steps: Step) -> str:
    return "; ".join(problems(definition(*steps)))


@pytest.mark.parametrize("sound", [ONE, CHAIN, DIAMOND])
def test_a_sound_definition_has_no_problems(sound: Definition) -> None:
    assert list(problems(sound)) == []


def test_a_pipeline_needs_a_step() -> None:
    assert wrong() == "a pipeline needs at least one step"


def test_too_many_steps_are_counted_and_not_looked_at() -> None:
    many = [step(f"s{i}") for i in range(MAX_STEPS + 1)]
    assert wrong(*many) == f"{MAX_STEPS + 1} steps; at most {MAX_STEPS} are allowed"
    assert wrong(*many[:MAX_STEPS]) == ""


def test_a_step_id_is_used_once() -> None:
    assert "step id 'read' is used twice" in wrong(step("read"), step("read"))


@pytest.mark.parametrize("step_id", ["", "Read", "1read", "re-ad", "réad", "a" * 64, "read\n"])
def test_a_step_id_is_small_letters_digits_and_underscores(step_id: str) -> None:
    assert "a step id is a small letter" in wrong(step(step_id))


@pytest.mark.parametrize("uses", ["", "derive", ".derive", "flexcore.", "Flex.derive", "a.b.c"])
def test_a_plugin_is_named_by_publisher_and_name(uses: str) -> None:
    assert "a plugin is named publisher.name" in wrong(step("read", uses=uses))


def test_a_need_is_a_step_of_the_same_pipeline() -> None:
    assert wrong(step("read", "gone")) == (
        "step 'read': needs 'gone', which is no step of this pipeline"
    )


def test_a_need_stands_once() -> None:
    assert wrong(step("a"), step("b", "a", "a")) == "step 'b': the same need stands twice"


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, 86_401.0, math.nan, math.inf])
def test_a_timeout_is_over_0_and_at_most_a_day(timeout_s: float) -> None:
    assert "timeout_s is" in wrong(step("read", timeout_s=timeout_s))


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"attempts": 0}, "retry.attempts is 0"),
        ({"attempts": 101}, "retry.attempts is 101"),
        ({"initial_s": -1.0}, "retry.initial_s and retry.max_s"),
        ({"initial_s": math.nan}, "retry.initial_s and retry.max_s"),
        ({"max_s": math.inf}, "retry.initial_s and retry.max_s"),
        ({"factor": 0.5}, "retry.factor is 0.5"),
        ({"factor": 101.0}, "retry.factor is 101"),
        ({"factor": math.nan}, "retry.factor is nan"),
    ],
)
def test_a_retry_stays_within_reason(changed: dict[str, Any], what: str) -> None:
    assert what in wrong(step("read", retry=replace(TWICE, **changed)))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "Expecting value"),
        ("{'a': 1}", "Expecting property name"),
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": 1e999}', "1e999 is out of range"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"a": ' + "[" * 64 + "]" * 64 + "}", "nested deeper than 64 levels"),
        ("[" * 10_000, "nested deeper than 64 levels"),
    ],
)
def test_with_is_json_that_means_one_thing(text: str, what: str) -> None:
    found = wrong(step("read", with_json=text))
    assert found.startswith(f"step 'read': `with` is no JSON that can be used: {what}")


@pytest.mark.parametrize("text", ["1", "[]", '"{}"', "null"])
def test_with_is_an_object(text: str) -> None:
    assert wrong(step("read", with_json=text)) == "step 'read': `with` must be an object"


def test_with_is_measured_in_bytes() -> None:
    fits = json.dumps({"a": "é" * ((MAX_JSON_BYTES - 9) // 2)}, ensure_ascii=False)
    assert wrong(step("read", with_json=fits)) == ""
    assert "is larger than" in wrong(step("read", with_json=fits + " " * 10))


def test_only_flexcore_makes_blob_references() -> None:
    nested = '{"a": [{"b": {"$blob": "x"}}]}'
    assert "holds a $blob reference" in wrong(step("read", with_json=nested))
    assert not holds_blob_reference({"blob": ["$blob", {"x": "$blob"}]})


def test_a_cycle_is_named_by_its_own_steps_only() -> None:
    found = wrong(step("a", "c"), step("b", "a"), step("c", "b"), step("after", "c"))
    cycle = found.removeprefix("the steps wait for each other: ").split(" → ")
    assert cycle[0] == cycle[-1]
    assert set(cycle) == {"a", "b", "c"}


def test_a_step_that_needs_itself_is_a_cycle() -> None:
    assert wrong(step("a", "a")) == "the steps wait for each other: a → a"


@given(st.permutations(range(8)), st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7))))
def test_needs_that_all_point_back_in_some_order_are_no_cycle(
    order: list[int], edges: set[tuple[int, int]]
) -> None:
    place = {number: i for i, number in enumerate(order)}
    needs = {
        n: [f"s{b}" for a, b in sorted(edges) if a == n and place[b] < place[a]] for n in order
    }
    assert wrong(*[step(f"s{n}", *needs[n]) for n in range(8)]) == ""


@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5))))
def test_a_cycle_is_found_exactly_where_no_order_runs_all(edges: set[tuple[int, int]]) -> None:
    needs = {n: {b for a, b in edges if a == n} for n in range(6)}
    done: set[int] = set()
    while ready := {n for n in needs if n not in done and needs[n] <= done}:
        done |= ready
    found = wrong(*[step(f"s{n}", *[f"s{b}" for b in sorted(needs[n])]) for n in range(6)])
    assert ("wait for each other" in found) == (len(done) < 6)


@given(st.permutations([*DIAMOND.steps, *CHAIN.steps[1:]]))
def test_in_order_each_step_comes_after_its_needs(steps: list[Step]) -> None:
    found = definition(*steps).in_order
    places = {one.id: place for place, one in enumerate(found)}
    assert len(found) == len(steps)
    assert all(places[need] < places[one.id] for one in found for need in one.needs)


class TestContentHash:
    def test_it_ignores_how_with_is_written(self) -> None:
        one = definition(step("read", with_json='{"a": 1, "b": [2]}'))
        other = definition(step("read", with_json='{"b":[2],"a":1}'))
        assert one.content_hash() == other.content_hash()

    @pytest.mark.parametrize(
        "changed",
        [
            {"id": "other"},
            {"uses": "flexcore.filter"},
            {"needs": ("x",)},
            {"on_error": OnError.CONTINUE},
            {"timeout_s": 1.0},
            {"retry": TWICE},
            {"when": "true"},
            {"with_json": '{"a": 1}'},
        ],
    )
    def test_it_changes_with_every_field(self, changed: dict[str, object]) -> None:
        assert definition(step("read")).content_hash() != (
            definition(replace(step("read"), **changed)).content_hash()  # type: ignore[arg-type]
        )

    def test_it_is_the_same_in_every_release(self) -> None:
        """Hashes stand in events; another way of computing them would revise every pipeline."""
        of = definition(step("read", retry=TWICE, timeout_s=60.0), step("store", "read"))
        assert of.content_hash() == (
            "a959537b318ca83e51b54b7e3ef6481533dee8f659b4d53995506591ff928e23"
        )


class TestRetryDelays:
    def test_they_grow_by_the_factor_up_to_the_limit(self) -> None:
        retry = Retry(attempts=9, initial_s=0.5, factor=2.0, max_s=3.0, jitter=False)
        assert [retry.delay_s(n, 0.9) for n in (1, 2, 3, 4, 5)] == [0.5, 1.0, 2.0, 3.0, 3.0]

    @given(
        st.integers(1, 100),
        st.floats(0, 86_400),
        st.floats(1, 100),
        st.floats(0, 86_400),
        st.floats(0, 1, exclude_max=True),
    )
    def test_jitter_takes_away_up_to_a_half(
        self, attempt: int, initial_s: float, factor: float, max_s: float, chance: float
    ) -> None:
        plain = Retry(100, initial_s, factor, max_s, jitter=False).delay_s(attempt, chance)
        jittered = Retry(100, initial_s, factor, max_s, jitter=True).delay_s(attempt, chance)
        assert plain / 2 <= jittered <= plain <= max_s


# ── what is known of a definition stays with it ──────────────────────────────────────────


def test_a_check_is_asked_once_for_each_definition() -> None:
    asked: list[Definition] = []

    def check(of: Definition) -> list[str]:
        asked.append(of)
        return ["too short"]

    one, other = definition(step("read")), definition(step("read"))
    assert one.found_by(check) == one.found_by(check) == other.found_by(check) == ("too short",)
    assert len(asked) == 2


def test_each_check_has_its_own_answer() -> None:
    one = definition(step("read"))
    assert one.found_by(lambda _: ["no"]) == ("no",)
    assert one.found_by(problems) == ()


def test_what_is_known_does_not_count_as_content() -> None:
    looked_at, fresh = definition(step("read")), definition(step("read"))
    looked_at.content_hash()
    looked_at.found_by(problems)
    assert looked_at == fresh
    assert hash(looked_at) == hash(fresh)
    assert repr(looked_at) == repr(fresh)
    changed = replace(looked_at, steps=(*looked_at.steps, step("store", "read")))
    assert changed.content_hash() != looked_at.content_hash()
