"""Pipeline: draft, active, paused, archived; RevisePipeline keeps the status."""

from dataclasses import replace

import pytest

from domain.decider import Facts
from domain.pipeline.pipeline import (
    MAX_DESCRIPTION,
    MAX_NAME,
    PIPELINE,
    Absent,
    ActivatePipeline,
    ArchivePipeline,
    CreatePipeline,
    PausePipeline,
    Pipeline,
    PipelineActivated,
    PipelineArchived,
    PipelineCommand,
    PipelineCreated,
    PipelineEvent,
    PipelinePaused,
    PipelineRevised,
    RevisePipeline,
    Status,
)
from tests.domain.given import NOON, facts, given
from tests.domain.samples import CHAIN, ONE, definition, step

CREATE = CreatePipeline("p1", "Weather", "by month", ONE)
CREATED = PipelineCreated("p1", 1, ONE.content_hash(), "Weather", "ada", NOON, "by month", ONE)
ACTIVATE = ActivatePipeline("p1", "it is time")
ACTIVATED = PipelineActivated("p1", "ada", NOON, "it is time")
PAUSE = PausePipeline("p1", "the source is down")
PAUSED = PipelinePaused("p1", "ada", NOON, "the source is down")
ARCHIVE = ArchivePipeline("p1", "replaced")
ARCHIVED = PipelineArchived("p1", "ada", NOON, "replaced")
REVISE = RevisePipeline("p1", "Weather", "by month", CHAIN)
REVISED = PipelineRevised("p1", 2, CHAIN.content_hash(), "Weather", "ada", NOON, "by month", CHAIN)


# ── create ───────────────────────────────────────────────────────────────────────────────


def test_a_new_pipeline_has_revision_1() -> None:
    given(PIPELINE).when(CREATE).then(CREATED)


def test_a_new_pipeline_is_a_draft() -> None:
    assert given(PIPELINE, CREATED).state.status is Status.DRAFT


def test_creating_what_exists_is_refused_even_with_the_same_content() -> None:
    error = given(PIPELINE, CREATED).when(CREATE).then_refused("pipeline.already_exists")
    assert error.message == "pipeline 'p1' exists; revise it, or choose another id"
    assert error.fields == {"pipeline_id": "p1"}


@pytest.mark.parametrize("pipeline_id", ["p", "0", "a" * 63, "a-b-9", "acme~p1", "a~b~p1"])
def test_an_id_is_a_slug_below_its_tenant(pipeline_id: str) -> None:
    create = replace(CREATE, pipeline_id=pipeline_id)
    given(PIPELINE).when(create).then(replace(CREATED, pipeline_id=pipeline_id))


@pytest.mark.parametrize(
    "pipeline_id", ["", "-a", "A", "a_b", "a.b", "ä", "a" * 64, "a\n", "acme~", "p1~P", "a b"]
)
def test_what_is_no_slug_is_refused(pipeline_id: str) -> None:
    create = replace(CREATE, pipeline_id=pipeline_id)
    given(PIPELINE).when(create).then_refused("pipeline.invalid_id")


# ── what create and revise check ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["", "  ", "n" * (MAX_NAME + 1), " " * MAX_NAME + "n"])
@pytest.mark.parametrize(("history", "command"), [((), CREATE), ((CREATED,), REVISE)])
def test_a_name_is_1_to_200_characters(
    history: tuple[object, ...], command: CreatePipeline | RevisePipeline, name: str
) -> None:
    named = replace(command, name=name)
    given(PIPELINE, *history).when(named).then_refused("pipeline.invalid_name")


@pytest.mark.parametrize(("history", "command"), [((), CREATE), ((CREATED,), REVISE)])
def test_a_description_is_at_most_10000_characters(
    history: tuple[object, ...], command: CreatePipeline | RevisePipeline
) -> None:
    told = replace(command, description="d" * (MAX_DESCRIPTION + 1))
    given(PIPELINE, *history).when(told).then_refused("pipeline.invalid_definition")


@pytest.mark.parametrize(("history", "command"), [((), CREATE), ((CREATED,), REVISE)])
def test_all_problems_of_a_definition_are_told_at_once(
    history: tuple[object, ...], command: CreatePipeline | RevisePipeline
) -> None:
    broken = replace(command, definition=definition(step("a", "gone"), step("B")))
    error = given(PIPELINE, *history).when(broken).then_refused("pipeline.invalid_definition")
    assert "needs 'gone'" in error.message
    assert "step 'B'" in error.message
    assert len(list(error.fields["problems"])) == 2  # type: ignore[call-overload]  # a list


def test_a_long_list_of_problems_is_cut_in_the_message_and_whole_in_the_fields() -> None:
    broken = replace(CREATE, definition=definition(*[step(f"S{i}") for i in range(30)]))
    error = given(PIPELINE).when(broken).then_refused("pipeline.invalid_definition")
    assert error.message.count("a step id is") == 20
    assert len(list(error.fields["problems"])) == 30  # type: ignore[call-overload]  # a list


def test_expressions_are_judged_once_the_rest_is_sound() -> None:
    picky = Facts(at=NOON, actor="ada", expression_problems=lambda _: ["step 'read': no CEL"])
    error = given(PIPELINE).when(CREATE, picky).then_refused("pipeline.invalid_definition")
    assert error.message == "step 'read': no CEL"

    broken = replace(CREATE, definition=definition(step("read", "gone")))
    error = given(PIPELINE).when(broken, picky).then_refused("pipeline.invalid_definition")
    assert "no CEL" not in error.message


# ── revise ───────────────────────────────────────────────────────────────────────────────


def test_a_revision_counts_on() -> None:
    given(PIPELINE, CREATED).when(REVISE).then(REVISED)
    back = replace(REVISE, definition=ONE)
    third = replace(REVISED, revision=3, definition=ONE, hash=ONE.content_hash())
    given(PIPELINE, CREATED, REVISED).when(back).then(third)


def test_revising_to_what_already_is_changes_nothing() -> None:
    given(PIPELINE, CREATED, REVISED).when(REVISE).then_nothing()


def test_other_spaces_in_with_are_no_revision() -> None:
    spaced = replace(REVISE, definition=definition(step("read", with_json="{ }")))
    given(PIPELINE, CREATED).when(spaced).then_nothing()


@pytest.mark.parametrize("changed", [{"name": "Climate"}, {"description": "by year"}])
def test_another_name_or_description_is_a_revision(changed: dict[str, str]) -> None:
    renamed = replace(REVISE, definition=ONE, **changed)
    decision = given(PIPELINE, CREATED).when(renamed)
    assert [type(event) for event in decision.events] == [PipelineRevised]


def test_a_revised_pipeline_keeps_its_status() -> None:
    assert given(PIPELINE, CREATED, REVISED).state.status is Status.DRAFT
    assert given(PIPELINE, CREATED, ACTIVATED, REVISED).state.status is Status.ACTIVE


def test_revising_never_creates() -> None:
    error = given(PIPELINE).when(REVISE).then_refused("pipeline.not_found")
    assert error.message == "there is no pipeline 'p1'; create it first"


# ── activate ─────────────────────────────────────────────────────────────────────────────


def test_a_draft_is_activated() -> None:
    given(PIPELINE, CREATED).when(ACTIVATE).then(ACTIVATED)


def test_activating_an_active_pipeline_changes_nothing() -> None:
    given(PIPELINE, CREATED, ACTIVATED).when(ACTIVATE).then_nothing()


def test_what_is_not_there_cannot_be_activated() -> None:
    given(PIPELINE).when(ACTIVATE).then_refused("pipeline.not_found")


# ── pause ────────────────────────────────────────────────────────────────────────────────


def test_an_active_pipeline_is_paused_and_activated_again() -> None:
    given(PIPELINE, CREATED, ACTIVATED).when(PAUSE).then(PAUSED)
    given(PIPELINE, CREATED, ACTIVATED, PAUSED).when(ACTIVATE).then(ACTIVATED)


def test_pausing_a_paused_pipeline_changes_nothing() -> None:
    given(PIPELINE, CREATED, ACTIVATED, PAUSED).when(PAUSE).then_nothing()


def test_a_draft_cannot_be_paused() -> None:
    error = given(PIPELINE, CREATED).when(PAUSE).then_refused("pipeline.not_active")
    assert error.message == (
        "pipeline 'p1' is draft; only an active pipeline can be paused; nothing runs it now"
    )


def test_a_paused_pipeline_is_pinned_as_not_active_and_may_be_revised() -> None:
    assert given(PIPELINE, CREATED, ACTIVATED, PAUSED).state.pinned().active is False
    assert given(PIPELINE, CREATED, ACTIVATED, PAUSED, REVISED).state.status is Status.PAUSED


# ── archive ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("history", [(), (ACTIVATED,), (ACTIVATED, PAUSED)])
def test_a_pipeline_is_archived_from_any_status(history: tuple[PipelineEvent, ...]) -> None:
    given(PIPELINE, CREATED, *history).when(ARCHIVE).then(ARCHIVED)


def test_archiving_an_archived_pipeline_changes_nothing() -> None:
    given(PIPELINE, CREATED, ARCHIVED).when(ARCHIVE).then_nothing()


@pytest.mark.parametrize(
    ("command", "what"), [(ACTIVATE, "activated"), (PAUSE, "paused"), (REVISE, "revised")]
)
def test_an_archived_pipeline_does_not_come_back(command: PipelineCommand, what: str) -> None:
    error = given(PIPELINE, CREATED, ARCHIVED).when(command).then_refused("pipeline.archived")
    assert error.message == (
        f"pipeline 'p1' is archived and cannot be {what}; create another one under a new id"
    )


def test_the_id_of_an_archived_pipeline_stays_taken() -> None:
    given(PIPELINE, CREATED, ARCHIVED).when(CREATE).then_refused("pipeline.already_exists")


@pytest.mark.parametrize("command", [PAUSE, ARCHIVE])
def test_what_is_not_there_is_neither_paused_nor_archived(command: PipelineCommand) -> None:
    given(PIPELINE).when(command).then_refused("pipeline.not_found")


# ── state ────────────────────────────────────────────────────────────────────────────────


def test_an_execution_pins_the_latest_revision() -> None:
    pinned = given(PIPELINE, CREATED, ACTIVATED, REVISED).state.pinned()
    assert (pinned.active, pinned.revision, pinned.definition) == (True, 2, CHAIN)
    assert pinned.hash == CHAIN.content_hash()


def test_a_draft_is_pinned_as_not_active() -> None:
    assert given(PIPELINE, CREATED).state.pinned().active is False


def test_a_history_that_begins_in_the_middle_is_folded_as_far_as_it_tells() -> None:
    """A pruned log must not stop whoever reads it."""
    assert given(PIPELINE, ACTIVATED).state == Absent()
    state = given(PIPELINE, REVISED).state
    assert isinstance(state, Pipeline)
    assert (state.revision, state.status) == (2, Status.DRAFT)


def test_time_and_actor_come_from_the_facts() -> None:
    other = replace(facts(), actor="bob")
    given(PIPELINE).when(CREATE, other).then(replace(CREATED, by="bob"))
