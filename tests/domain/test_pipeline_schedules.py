"""Pipeline: a schedule is checked, counts from the activation on, and fires each time once."""

from dataclasses import replace
from datetime import datetime

import pytest

from domain.pipeline.pipeline import (
    PIPELINE,
    ActivatePipeline,
    CreatePipeline,
    FireSchedule,
    Pipeline,
    PipelineActivated,
    PipelineArchived,
    PipelineCreated,
    PipelinePaused,
    PipelineRevised,
    PipelineScheduleFired,
    RevisePipeline,
)
from domain.schedule import CatchUp, Schedule, execution_id
from tests.domain.given import NOON, after, facts, given
from tests.domain.samples import ONE

HOURLY = Schedule("30 * * * *", "Europe/Berlin", CatchUp.LATEST, '{"day": 1}')
QUARTERLY = replace(HOURLY, cron="*/15 * * * *")
HASH = ONE.content_hash()
CREATED = PipelineCreated("p1", 1, HASH, "Weather", "ada", NOON, "", ONE, HOURLY)
ACTIVATED = PipelineActivated("p1", "ada", NOON, "")
MINUTE = 60.0


def at(minutes: float) -> datetime:
    return after(minutes * MINUTE)


def paused(minutes: float) -> PipelinePaused:
    return PipelinePaused("p1", "ada", at(minutes), "")


def activated(minutes: float) -> PipelineActivated:
    return PipelineActivated("p1", "ada", at(minutes), "")


def revised(minutes: float, schedule: Schedule | None) -> PipelineRevised:
    return PipelineRevised("p1", 2, HASH, "Weather", "ada", at(minutes), "", ONE, schedule)


def fired(minutes: float, now: float, skipped: int = 0) -> PipelineScheduleFired:
    run = execution_id("p1", at(minutes))
    return PipelineScheduleFired("p1", run, at(minutes), skipped, at(now), '{"day": 1}')


def fire(minutes: float) -> FireSchedule:
    return FireSchedule("p1", at(minutes))


# ── what is kept ─────────────────────────────────────────────────────────────────────────


def test_a_schedule_is_a_part_of_the_pipeline() -> None:
    create = CreatePipeline("p1", "Weather", "", ONE, HOURLY)
    given(PIPELINE).when(create).then(CREATED)


def test_another_schedule_is_another_revision_and_the_same_is_none() -> None:
    revise = RevisePipeline("p1", "Weather", "", ONE, QUARTERLY)
    given(PIPELINE, CREATED).when(revise).then(revised(0, QUARTERLY))
    given(PIPELINE, CREATED).when(replace(revise, schedule=HOURLY)).then_nothing()
    given(PIPELINE, CREATED).when(replace(revise, schedule=None)).then(revised(0, None))


def test_everything_that_is_wrong_with_a_schedule_is_named() -> None:
    wrong = Schedule("61 * * * *", "Mars/Olympus", CatchUp.ALL, "[]")
    create = CreatePipeline("p1", "Weather", "", ONE, wrong)
    error = given(PIPELINE).when(create).then_refused("pipeline.invalid_definition")
    told = error.message.split("; schedule.")
    assert [what.partition(":")[0] for what in told] == ["schedule.cron", "zone", "input"]


# ── firing ───────────────────────────────────────────────────────────────────────────────


def test_a_time_that_has_come_fires() -> None:
    given(PIPELINE, CREATED, ACTIVATED).when(fire(30), facts(at(30.01))).then(fired(30, 30.01))


def test_a_time_fires_once_however_often_it_is_told() -> None:
    history = CREATED, ACTIVATED, fired(30, 30)
    given(PIPELINE, *history).when(fire(30), facts(at(31))).then_nothing()


def test_a_clock_that_is_behind_the_engines_fires_what_the_engine_says() -> None:
    given(PIPELINE, CREATED, ACTIVATED).when(fire(30), facts(at(29.99))).then(fired(30, 29.99))


def test_the_run_has_the_same_id_whoever_fires_it_and_when() -> None:
    assert fired(30, 30).execution_id == fired(30, 99).execution_id != fired(90, 99).execution_id


@pytest.mark.parametrize(
    "history",
    [
        (),
        (CREATED,),
        (CREATED, ACTIVATED, paused(10)),
        (CREATED, ACTIVATED, PipelineArchived("p1", "ada", at(10), "")),
        (CREATED, ACTIVATED, revised(10, None)),
        (replace(CREATED, schedule=None), ACTIVATED),
        (CREATED, ACTIVATED, revised(29, replace(HOURLY, cron="45 * * * *"))),
    ],
    ids=["absent", "draft", "paused", "archived", "unscheduled", "never", "other times"],
)
def test_only_an_active_pipeline_with_that_time_fires(history: tuple[object, ...]) -> None:
    given(PIPELINE, *history).when(fire(30), facts(at(31))).then_nothing()


def test_times_count_from_the_activation_on_and_not_from_the_creation() -> None:
    given(PIPELINE, CREATED, activated(100)).when(fire(30), facts(at(101))).then_nothing()


def test_a_schedule_that_comes_with_a_revision_counts_from_it_on() -> None:
    history = replace(CREATED, schedule=None), ACTIVATED, revised(45, HOURLY)
    given(PIPELINE, *history).when(fire(30), facts(at(50))).then_nothing()
    given(PIPELINE, *history).when(fire(90), facts(at(90))).then(fired(90, 90))


def test_a_revision_that_leaves_the_times_alone_leaves_out_none() -> None:
    history = CREATED, ACTIVATED, revised(45, replace(HOURLY, input_json='{"day": 1}'))
    given(PIPELINE, *history).when(fire(30), facts(at(46))).then(fired(30, 46))


# ── times that passed ────────────────────────────────────────────────────────────────────


def test_of_the_times_that_passed_in_a_pause_the_latest_fires_afterwards() -> None:
    history = CREATED, ACTIVATED, paused(10), activated(200)
    given(PIPELINE, *history).when(fire(30), facts(at(200))).then(fired(150, 200, skipped=2))


def test_all_of_them_fire_where_that_is_wanted() -> None:
    every = replace(CREATED, schedule=replace(HOURLY, catch_up=CatchUp.ALL))
    given(PIPELINE, every, ACTIVATED).when(fire(30), facts(at(200))).then(
        fired(30, 200), fired(90, 200), fired(150, 200)
    )


def test_none_of_them_fires_where_that_is_wanted_not_even_the_youngest() -> None:
    none = replace(CREATED, schedule=replace(HOURLY, catch_up=CatchUp.NONE))
    history = none, ACTIVATED, paused(10), activated(150.5)
    given(PIPELINE, *history).when(fire(30), facts(at(150.6))).then_nothing()
    given(PIPELINE, none, ACTIVATED).when(fire(30), facts(at(200))).then_nothing()
    given(PIPELINE, none, ACTIVATED).when(fire(30), facts(at(30.9))).then(fired(30, 30.9))


# ── the next time ────────────────────────────────────────────────────────────────────────


def next_run(*history: object) -> datetime | None:
    state = given(PIPELINE, *history).state
    assert isinstance(state, Pipeline)
    return state.next_run_at()


def test_the_next_time_is_known_while_a_pipeline_is_active() -> None:
    assert next_run(CREATED) is None
    assert next_run(CREATED, ACTIVATED) == at(30)
    assert next_run(CREATED, ACTIVATED, fired(30, 31)) == at(90)
    assert next_run(CREATED, ACTIVATED, paused(31)) is None
    assert next_run(CREATED, ACTIVATED, revised(31, QUARTERLY)) == at(45)
    assert next_run(CREATED, ACTIVATED, revised(31, None)) is None


def test_a_time_that_passed_without_a_run_is_still_the_next() -> None:
    assert next_run(CREATED, ACTIVATED, paused(1), activated(500)) == at(30)


def test_activating_again_counts_no_time_twice() -> None:
    history = CREATED, ACTIVATED, fired(30, 30), paused(31), activated(32)
    assert next_run(*history) == at(90)
    given(PIPELINE, *history).when(ActivatePipeline("p1", "")).then_nothing()


def test_whatever_stands_in_the_log_is_folded() -> None:
    assert given(PIPELINE, fired(30, 30)).state == PIPELINE.initial
