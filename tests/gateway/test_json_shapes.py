"""Commands from JSON and events to JSON: what goes in comes out."""

import dataclasses
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.contexts import CONTEXTS
from domain.definition import Definition, OnError, Retry, Step
from domain.errors import Invalid
from domain.execution.messages import ExecutePipeline
from domain.pipeline.pipeline import PipelineActivated
from domain.schedule import CatchUp, Schedule
from gateway.json_shapes import body_json, command_from_json, event_json
from schemas import catalogue
from streams.records import EventRecord
from tests.gateway.memory_stack import local_codec
from tests.gateway.test_pipeline_file import JSON_VALUES

COMMANDS = [cls for context in CONTEXTS.values() for cls in context.commands]
NAMES = {cls: catalogue.full_names()[cls] for cls in COMMANDS}


def texts() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


def compact(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


OBJECTS = st.dictionaries(texts(), JSON_VALUES, max_size=2)
STEP = st.builds(
    Step,
    id=texts(),
    uses=texts(),
    needs=st.lists(texts(), max_size=2).map(tuple),
    on_error=st.sampled_from(OnError),
    timeout_s=st.none() | st.floats(-1, 1e6),
    retry=st.none()
    | st.builds(
        Retry, st.integers(0, 9), st.floats(0, 9), st.floats(0, 9), st.floats(0, 9), st.booleans()
    ),
    when=st.none() | texts(),
    with_json=OBJECTS.map(compact),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "definition": st.lists(STEP, max_size=3).map(lambda steps: Definition(tuple(steps))),
    "input_json": JSON_VALUES.map(compact),
    "deadline_s": st.none() | st.floats(-1e9, 1e9),
    "priority": st.integers(-(2**31), 2**31 - 1),
    "schedule": st.none()
    | st.builds(Schedule, texts(), texts(), st.sampled_from(CatchUp), OBJECTS.map(compact)),
    "scheduled_for": st.none() | st.datetimes(timezones=st.just(UTC)),
}


def commands() -> st.SearchStrategy[Any]:
    ids = st.text("abc-09", min_size=1, max_size=9)

    def of(cls: type) -> st.SearchStrategy[Any]:
        names = [field.name for field in dataclasses.fields(cls)]
        values = {n: FIELDS.get(n, ids if n.endswith("_id") else texts()) for n in names}
        return st.builds(cls, **values)

    return st.one_of([of(cls) for cls in COMMANDS])


@given(commands(), st.booleans())
def test_command_survives_the_way_through_json(command: Any, full: bool) -> None:
    name = NAMES[type(command)]
    context = CONTEXTS[name.split(".")[1]]
    data = body_json(command)

    again = command_from_json(
        name if full else type(command).__name__, data[context.id_field], data
    )

    assert again == command


@given(st.sampled_from(COMMANDS), st.dictionaries(st.text(max_size=12), JSON_VALUES, max_size=5))
def test_whatever_the_data_is_the_answer_is_a_command_or_an_error(
    cls: type, data: dict[str, Any]
) -> None:
    with suppress(Invalid):
        local_codec().encode(command_from_json(cls.__name__, "x", data))


def test_what_may_be_left_out_has_its_default() -> None:
    command = command_from_json("ExecutePipeline", "e1", {"pipeline_id": "weather"})

    assert command == ExecutePipeline("e1", "weather", None, 0, "{}")


def test_local_ids_become_those_of_the_tenant() -> None:
    command = command_from_json(
        "ExecutePipeline", "e1", {"pipeline_id": "weather"}, tenant_prefix="acme~"
    )

    assert (command.execution_id, command.pipeline_id) == ("acme~e1", "acme~weather")


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"pipeline_id": 7},
        {"pipeline_id": "p", "priority": 2**31},
        {"pipeline_id": "p", "priority": True},
        {"pipeline_id": "p", "deadline_s": float("nan")},
        {"pipeline_id": "p", "input_json": "{}"},
        {"pipeline_id": "p", "input": {"a": float("inf")}},
        {"pipeline_id": "p", "input": {"a": "\ud800"}},
    ],
)
def test_data_that_its_record_cannot_hold_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        command_from_json("ExecutePipeline", "e1", data)

    assert caught.value.code == "command.invalid"
    assert "data" in caught.value.message


def record(value: bytes | None) -> EventRecord:
    headers = {
        "ce_id": b"e",
        "ce_type": b"flexcore.pipeline.PipelineActivated",
        "ce_time": b"2026-03-01T12:00:00Z",
        "ce_tenantid": b"acme",
        "ce_actorid": b"ann",
        "ce_commandid": b"c",
        "ce_correlationid": b"r",
        "ce_causationid": b"c",
    }
    return EventRecord("pipeline", "acme~p1", 2, 3, 41, 0, value, headers)


def test_event_is_shown_with_local_ids_and_its_place() -> None:
    codec = local_codec()
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    value = codec.encode(PipelineActivated("acme~p1", "ann", at, "ready"))

    shape = event_json(record(value), codec)

    assert shape == {
        "id": "e",
        "type": "PipelineActivated",
        "aggregate_id": "p1",
        "version": 2,
        "time": "2026-03-01T12:00:00Z",
        "tenant_id": "acme",
        "actor_id": "ann",
        "command_id": "c",
        "correlation_id": "r",
        "causation_id": "c",
        "position": "pipeline/3@41",
        "data": {"pipeline_id": "p1", "by": "ann", "at": at, "reason": "ready"},
    }


def test_pruned_event_has_no_data() -> None:
    assert event_json(record(None), local_codec())["data"] is None


def test_event_that_no_schema_explains_is_shown_without_data_and_with_the_reason() -> None:
    shape = event_json(record(b"\x00\x00\x00\xff\xff"), local_codec())

    assert shape["data"] is None
    assert "schema id 65535" in shape["unreadable"]
