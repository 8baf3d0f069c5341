"""What rows become of events: given a history, then this row."""

import json
import random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.execution.messages import ExecutionCompleted
from domain.pipeline.pipeline import (
    PipelineActivated,
    PipelineCreated,
    PipelinePaused,
    PipelineRevised,
    PipelineScheduleFired,
)
from domain.schedule import CatchUp, Schedule
from projections.executions import EXECUTIONS, MAX_OUTPUTS_BYTES
from projections.folding import Entry, Folder, entry_of
from projections.pipelines import PIPELINES, PipelineRow
from projections.projection import Meta, Projection
from projections.values import dumps, json_value
from streams.order import Arrived
from tests.domain.samples import ONE
from tests.projections.history import (
    at,
    completed,
    failed,
    failed_run,
    folded,
    pipeline,
    scheduled,
    started,
    succeeded_run,
)


def shape(projection: Projection, aggregate_id: str, events: list[Any]) -> Any:
    """The row as doors show it."""
    return orjson.loads(dumps(folded(projection, aggregate_id, events)))


def test_a_revised_pipeline_shows_its_last_definition_and_keeps_who_made_it() -> None:
    assert shape(PIPELINES, "weather", pipeline("weather")) == {
        "pipeline_id": "weather",
        "name": "Weather by month",
        "description": "",
        "steps": [
            {"id": "read", "uses": "flexcore.csv_read", "with": {"path": "a.csv"}},
            {
                "id": "store",
                "uses": "flexcore.csv_read",
                "needs": ["read"],
                "timeout_s": 60.0,
                "retry": {
                    "attempts": 3,
                    "initial_s": 0.5,
                    "factor": 2.0,
                    "max_s": 30.0,
                    "jitter": True,
                },
            },
        ],
        "status": "active",
        "revision": 2,
        "hash": "abc",
        "version": 3,
        "created_by": "ann",
        "created_at": "2026-11-22T12:00:00Z",
        "updated_at": "2026-11-22T12:00:02Z",
        "schedule": None,
        "next_run_at": None,
    }


def test_an_active_pipeline_shows_when_its_schedule_asks_for_the_next_run() -> None:
    schedule = Schedule("30 6 * * *", "Europe/Berlin", CatchUp.LATEST, '{"day": 1}')
    row: PipelineRow | None = None
    shown = []
    for version, event in enumerate(
        [
            PipelineCreated("p", 1, "h", "A", "ann", at(0), "", ONE, schedule),
            PipelineActivated("p", "ann", at(1), ""),
            PipelineScheduleFired("p", "e", at(86_400), 0, at(86_400), "{}"),
            PipelinePaused("p", "ann", at(86_401), ""),
            PipelineActivated("p", "ann", at(86_402), ""),
            PipelineRevised("p", 2, "h", "A", "ann", at(86_403), "", ONE, None),
        ],
        1,
    ):
        row = PIPELINES.fold(row, event, Meta("p", version))
        assert row is not None
        assert PIPELINES.load(orjson.loads(dumps(row))) == row
        shown.append(row.next_run_at and row.next_run_at.isoformat())
        if version == 3:
            assert row.updated_at == at(1), "a run that starts is no change of its pipeline"
            told = {"cron": "30 6 * * *", "zone": "Europe/Berlin", "catch_up": "latest"}
            assert row.schedule == {**told, "input": {"day": 1}}
    first, second = "2026-11-23T05:30:00+00:00", "2026-11-24T05:30:00+00:00"
    assert shown == [None, first, second, None, second, None]


def test_a_zone_that_this_machine_does_not_know_stops_no_row() -> None:
    unknown = Schedule("0 6 * * *", "Mars/Olympus", CatchUp.LATEST, "{}")
    history = [
        PipelineCreated("p", 1, "h", "A", "ann", at(0), "", ONE, unknown),
        PipelineActivated("p", "ann", at(1), ""),
    ]
    assert shape(PIPELINES, "p", history)["next_run_at"] is None


def test_a_row_of_a_release_before_schedules_is_read() -> None:
    value = shape(PIPELINES, "weather", pipeline("weather"))
    del value["schedule"], value["next_run_at"]
    assert shape(PIPELINES, "weather", pipeline("weather")) == orjson.loads(
        dumps(PIPELINES.load(value))
    )


def test_a_run_that_succeeded_shows_steps_attempts_durations_and_output() -> None:
    assert shape(EXECUTIONS, "e1", succeeded_run("e1")) == {
        "execution_id": "e1",
        "pipeline_id": "weather",
        "revision": 2,
        "status": "succeeded",
        "input": {"year": 2012},
        "output": {"store": {"table": "monthly"}},
        "error": None,
        "steps": [
            {
                "step_id": "read",
                "status": "succeeded",
                "attempt": 1,
                "started_at": "2026-11-22T12:00:10Z",
                "ended_at": "2026-11-22T12:00:10.500000Z",
                "duration_s": 0.5,
                "output": {"rows": 3},
                "error": None,
            },
            {
                "step_id": "store",
                "status": "succeeded",
                "attempt": 1,
                "started_at": "2026-11-22T12:00:10.500000Z",
                "ended_at": "2026-11-22T12:00:11Z",
                "duration_s": 0.5,
                "output": {"table": "monthly"},
                "error": None,
            },
        ],
        "version": 6,
        "started_at": "2026-11-22T12:00:10Z",
        "ended_at": "2026-11-22T12:00:11Z",
        "scheduled_for": None,
    }


def test_a_run_that_failed_names_the_step_and_the_reason() -> None:
    row = shape(EXECUTIONS, "e1", failed_run("e1"))
    assert row["status"] == "failed"
    assert row["error"] == {"code": "step.failed", "message": "no such file", "step_id": "read"}
    assert [step["status"] for step in row["steps"]] == ["failed", "cancelled"]
    assert row["steps"][0]["duration_s"] == 2.0


def test_a_second_attempt_starts_anew_and_keeps_the_last_error_in_sight() -> None:
    again = [*failed_run("e1")[:3], scheduled("e1", "read", 15, attempt=2)]
    step = shape(EXECUTIONS, "e1", again)["steps"][0]
    assert (step["status"], step["attempt"]) == ("scheduled", 2)
    assert step["started_at"] == "2026-11-22T12:00:15Z"
    assert step["error"]["code"] == "step.failed"


def test_a_redelivered_step_keeps_its_start() -> None:
    events = [started("e1"), scheduled("e1", "read", 10), scheduled("e1", "read", 20, delivery=2)]
    assert shape(EXECUTIONS, "e1", events)["steps"][0]["started_at"] == "2026-11-22T12:00:10Z"


def test_rows_show_local_ids() -> None:
    assert folded(EXECUTIONS, "acme~e1", [started("acme~e1")]).execution_id == "e1"
    assert folded(PIPELINES, "acme~weather", pipeline("acme~weather")).pipeline_id == "weather"


def test_outputs_that_do_not_fit_a_row_are_named_by_their_event() -> None:
    half = '"' + "x" * (MAX_OUTPUTS_BYTES // 2 + 10) + '"'
    events = [started("e1"), completed("e1", "read", 11, half), completed("e1", "store", 12, half)]
    first, second = shape(EXECUTIONS, "e1", events)["steps"]
    assert first["output"] == half[1:-1]
    assert second["output"] == {"$event": 3, "bytes": len(half)}


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', "[" * 300 + "]" * 300, "no json", ""])
def test_what_strict_json_cannot_say_stays_its_text(text: str) -> None:
    assert json_value(text) == text


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_output_can_be_written_and_read_back(value: Any) -> None:
    row = folded(EXECUTIONS, "e", [started("e"), completed("e", "read", 11, json.dumps(value))])
    written = dumps(row)
    assert dumps(EXECUTIONS.load(orjson.loads(written))) == written


HISTORIES: list[tuple[Projection, str, list[Any]]] = [
    (PIPELINES, "weather", pipeline("weather")),
    (EXECUTIONS, "e1", succeeded_run("e1")),
    (EXECUTIONS, "acme~e2", failed_run("acme~e2")),
]


@pytest.mark.parametrize(("projection", "aggregate_id", "events"), HISTORIES)
def test_every_event_seen_again_changes_nothing(
    projection: Projection, aggregate_id: str, events: list[Any]
) -> None:
    row = folded(projection, aggregate_id, events)
    for version, event in enumerate(events, start=1):
        assert projection.fold(row, event, Meta(aggregate_id, version)) is row


@pytest.mark.parametrize(("projection", "aggregate_id", "events"), HISTORIES)
def test_a_fold_is_total_over_histories_whose_beginning_is_missing(
    projection: Projection, aggregate_id: str, events: list[Any]
) -> None:
    for version, event in enumerate(events, start=1):
        projection.fold(None, event, Meta(aggregate_id, version))


@settings(max_examples=200, deadline=None)
@given(
    order=st.randoms(use_true_random=False),
    which=st.sampled_from(HISTORIES),
    cuts=st.lists(st.integers(1, 12), max_size=6),
)
def test_rows_are_the_same_however_events_are_batched_repeated_and_mixed_up(
    order: random.Random, which: tuple[Projection, str, list[Any]], cuts: list[int]
) -> None:
    projection, aggregate_id, events = which
    table: dict[str, bytes] = {}
    folder = Folder(projection, table.get)
    places = list(range(len(events)))
    order.shuffle(places)
    read = places + order.choices(places, k=3)
    for offset, size in enumerate([*cuts, len(read)]):
        batch, read = read[:size], read[size:]
        arrived = [Arrived(aggregate_id, place + 1, place, events[place]) for place in batch]
        result = folder.fold(0, arrived, 100 + offset, 10_000)
        table.update({key: entry.value(key) for key, entry in result.rows.items()})
    entry = entry_of(table[aggregate_id], projection)
    assert entry.row == folded(projection, aggregate_id, events)


def test_a_row_survives_being_written_and_read() -> None:
    row = folded(EXECUTIONS, "e1", succeeded_run("e1"))
    entry = Entry(row, "execution/3@12")
    assert entry_of(entry.value("e1"), EXECUTIONS) == entry


def test_a_late_event_after_the_end_still_counts_its_version() -> None:
    events = [*succeeded_run("e1"), failed("e1", "nowhere", 12)]
    assert folded(EXECUTIONS, "e1", events).version == 7


def test_an_output_that_is_no_json_ends_the_run_all_the_same() -> None:
    events = [started("e1"), ExecutionCompleted("e1", "weather", at(11), "{")]
    assert shape(EXECUTIONS, "e1", events)["output"] == "{"
