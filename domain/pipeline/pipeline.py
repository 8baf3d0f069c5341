"""Pipeline: a named definition that is revised and put to use.

CreatePipeline → Draft ──► Active ⇄ Paused      ActivatePipeline, PausePipeline
                   └────────┴────────┴──► Archived, for good      RevisePipeline keeps the status

Active with a schedule ──FireSchedule──► PipelineScheduleFired, one for each run that it starts
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import assert_never

from domain.decider import Decider, Facts
from domain.definition import Definition, PinnedDefinition, problems
from domain.errors import Invalid, NotFound, Refused
from domain.quick_init import quick_init
from domain.schedule import CatchUp, Schedule, due, execution_id, next_time, schedule_problems

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
MAX_NAME = 200
MAX_DESCRIPTION = 10_000


# ── events ───────────────────────────────────────────────────────────────────────────────


@quick_init
@dataclass(frozen=True, slots=True)
class PipelineCreated:
    pipeline_id: str
    revision: int
    hash: str
    name: str
    by: str
    at: datetime
    description: str
    definition: Definition
    schedule: Schedule | None = None


@quick_init
@dataclass(frozen=True, slots=True)
class PipelineRevised:
    pipeline_id: str
    revision: int
    hash: str
    name: str
    by: str
    at: datetime
    description: str
    definition: Definition
    schedule: Schedule | None = None


@quick_init
@dataclass(frozen=True, slots=True)
class PipelineActivated:
    pipeline_id: str
    by: str
    at: datetime
    reason: str


@quick_init
@dataclass(frozen=True, slots=True)
class PipelinePaused:
    pipeline_id: str
    by: str
    at: datetime
    reason: str


@quick_init
@dataclass(frozen=True, slots=True)
class PipelineArchived:
    pipeline_id: str
    by: str
    at: datetime
    reason: str


@quick_init
@dataclass(frozen=True, slots=True)
class PipelineScheduleFired:
    """The run of a time of the schedule is asked for, in the same transaction.

    `skipped` times before it get no run; 1,000 stands for that many or more.
    """

    pipeline_id: str
    execution_id: str
    scheduled_for: datetime
    skipped: int
    at: datetime
    input_json: str


PipelineEvent = (
    PipelineCreated
    | PipelineRevised
    | PipelineActivated
    | PipelinePaused
    | PipelineArchived
    | PipelineScheduleFired
)


# ── state ────────────────────────────────────────────────────────────────────────────────


class Status(Enum):
    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Absent:
    """No such pipeline yet."""


@quick_init
@dataclass(frozen=True, slots=True)
class Pipeline:
    """`scheduled_until` = no time of the schedule up to there is still to be looked at.

    It is `None` where there is no schedule, or was never an active one.
    """

    pipeline_id: str
    status: Status
    revision: int
    hash: str
    name: str
    description: str
    definition: Definition
    schedule: Schedule | None = None
    scheduled_until: datetime | None = None

    def pinned(self) -> PinnedDefinition:
        """What an execution that starts now holds on to."""
        active = self.status is Status.ACTIVE
        return PinnedDefinition(self.pipeline_id, active, self.revision, self.hash, self.definition)

    def next_run_at(self) -> datetime | None:
        """The first time that has had no run; it may have passed. Raises ValueError."""
        if self.status is not Status.ACTIVE or not (self.schedule and self.scheduled_until):
            return None
        return next_time(self.schedule, self.scheduled_until)


State = Absent | Pipeline


def evolve(state: State, event: PipelineEvent) -> State:
    match event:
        case PipelineCreated() | PipelineRevised():
            return Pipeline(
                pipeline_id=event.pipeline_id,
                status=state.status if isinstance(state, Pipeline) else Status.DRAFT,
                revision=event.revision,
                hash=event.hash,
                name=event.name,
                description=event.description,
                definition=event.definition,
                schedule=event.schedule,
                scheduled_until=_until_revised(state, event),
            )
        case PipelineActivated():
            if isinstance(state, Absent):
                return state
            until = _until_activated(state, event)
            return replace(state, status=Status.ACTIVE, scheduled_until=until)
        case PipelinePaused():
            return _now(state, Status.PAUSED)
        case PipelineArchived():
            return _now(state, Status.ARCHIVED)
        case PipelineScheduleFired():
            if isinstance(state, Absent):
                return state
            return replace(state, scheduled_until=event.scheduled_for)
        case _:
            assert_never(event)


def _now(state: State, status: Status) -> State:
    return state if isinstance(state, Absent) else replace(state, status=status)


def _until_revised(state: State, event: PipelineCreated | PipelineRevised) -> datetime | None:
    """Other times than before count from the revision on; a draft's from its activation on."""
    if not isinstance(state, Pipeline) or event.schedule is None or state.status is Status.DRAFT:
        return None
    if state.schedule is not None and state.schedule.times == event.schedule.times:
        return state.scheduled_until
    return event.at


def _until_activated(state: Pipeline, event: PipelineActivated) -> datetime | None:
    if state.schedule is None:
        return None
    # Late by seconds, a time is still run without catching up; not where the pipeline was paused.
    if state.scheduled_until is None or state.schedule.catch_up is CatchUp.NONE:
        return event.at
    return state.scheduled_until


# ── commands ─────────────────────────────────────────────────────────────────────────────


@quick_init
@dataclass(frozen=True, slots=True)
class CreatePipeline:
    pipeline_id: str
    name: str
    description: str
    definition: Definition
    schedule: Schedule | None = None


@quick_init
@dataclass(frozen=True, slots=True)
class RevisePipeline:
    pipeline_id: str
    name: str
    description: str
    definition: Definition
    schedule: Schedule | None = None


@quick_init
@dataclass(frozen=True, slots=True)
class ActivatePipeline:
    pipeline_id: str
    reason: str


@quick_init
@dataclass(frozen=True, slots=True)
class PausePipeline:
    """Runs that go on are left alone; no new one starts."""

    pipeline_id: str
    reason: str


@quick_init
@dataclass(frozen=True, slots=True)
class ArchivePipeline:
    """Its history stays, and so does its id: nobody can create it again."""

    pipeline_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class FireSchedule:
    """`scheduled_for`, a time of the schedule, has come; the engine says so, no door does."""

    pipeline_id: str
    scheduled_for: datetime


PipelineCommand = (
    CreatePipeline | RevisePipeline | ActivatePipeline | PausePipeline | ArchivePipeline
)


# ── decide ───────────────────────────────────────────────────────────────────────────────


def decide(
    command: PipelineCommand | FireSchedule, state: State, facts: Facts
) -> Sequence[PipelineEvent]:
    match command:
        case CreatePipeline():
            return _create(command, state, facts)
        case RevisePipeline():
            return _revise(command, _kept(command.pipeline_id, state, "revised"), facts)
        case ActivatePipeline():
            if _kept(command.pipeline_id, state, "activated").status is Status.ACTIVE:
                return ()
            return (PipelineActivated(command.pipeline_id, facts.actor, facts.at, command.reason),)
        case PausePipeline():
            return _pause(command, _kept(command.pipeline_id, state, "paused"), facts)
        case ArchivePipeline():
            if _existing(command.pipeline_id, state).status is Status.ARCHIVED:
                return ()
            return (PipelineArchived(command.pipeline_id, facts.actor, facts.at, command.reason),)
        case FireSchedule():
            return _fire(command, state, facts)
        case _:
            assert_never(command)


def _create(command: CreatePipeline, state: State, facts: Facts) -> Sequence[PipelineEvent]:
    if isinstance(state, Pipeline):
        raise Refused(
            "pipeline.already_exists",
            f"pipeline {command.pipeline_id!r} exists; revise it, or choose another id",
            pipeline_id=command.pipeline_id,
        )
    local_id = command.pipeline_id.rpartition("~")[2]
    if not SLUG.fullmatch(local_id):
        raise Invalid(
            "pipeline.invalid_id",
            f"pipeline id {command.pipeline_id!r}; an id is 1 to 63 small letters, digits and -, "
            "starting with a letter or digit",
        )
    _check(command, facts)
    return (
        PipelineCreated(
            pipeline_id=command.pipeline_id,
            revision=1,
            hash=command.definition.content_hash(),
            name=command.name,
            by=facts.actor,
            at=facts.at,
            description=command.description,
            definition=command.definition,
            schedule=command.schedule,
        ),
    )


def _revise(command: RevisePipeline, state: Pipeline, facts: Facts) -> Sequence[PipelineEvent]:
    _check(command, facts)
    content = command.definition.content_hash()
    before = (state.hash, state.name, state.description, state.schedule)
    if before == (content, command.name, command.description, command.schedule):
        return ()
    return (
        PipelineRevised(
            pipeline_id=command.pipeline_id,
            revision=state.revision + 1,
            hash=content,
            name=command.name,
            by=facts.actor,
            at=facts.at,
            description=command.description,
            definition=command.definition,
            schedule=command.schedule,
        ),
    )


def _pause(command: PausePipeline, state: Pipeline, facts: Facts) -> Sequence[PipelineEvent]:
    if state.status is Status.PAUSED:
        return ()
    if state.status is not Status.ACTIVE:
        raise Refused(
            "pipeline.not_active",
            f"pipeline {command.pipeline_id!r} is {state.status.value}; "
            "only an active pipeline can be paused; nothing runs it now",
            pipeline_id=command.pipeline_id,
        )
    return (PipelinePaused(command.pipeline_id, facts.actor, facts.at, command.reason),)


def _fire(command: FireSchedule, state: State, facts: Facts) -> Sequence[PipelineEvent]:
    # A pipeline that was paused or revised meanwhile has nothing due, and nobody waits for an answer.
    if not isinstance(state, Pipeline) or state.status is not Status.ACTIVE:
        return ()
    if state.schedule is None or state.scheduled_until is None:
        return ()
    found = due(state.schedule, state.scheduled_until, max(facts.at, command.scheduled_for))
    return [
        PipelineScheduleFired(
            pipeline_id=state.pipeline_id,
            execution_id=execution_id(state.pipeline_id, scheduled_for),
            scheduled_for=scheduled_for,
            skipped=0 if number else found.skipped,
            at=facts.at,
            input_json=state.schedule.input_json,
        )
        for number, scheduled_for in enumerate(found.times)
    ]


def _kept(pipeline_id: str, state: State, what: str) -> Pipeline:
    """The pipeline, unless it is archived: then it cannot be what is asked."""
    pipeline = _existing(pipeline_id, state)
    if pipeline.status is Status.ARCHIVED:
        raise Refused(
            "pipeline.archived",
            f"pipeline {pipeline_id!r} is archived and cannot be {what}; "
            "create another one under a new id",
            pipeline_id=pipeline_id,
        )
    return pipeline


def _existing(pipeline_id: str, state: State) -> Pipeline:
    if isinstance(state, Absent):
        raise NotFound(
            "pipeline.not_found",
            f"there is no pipeline {pipeline_id!r}; create it first",
            pipeline_id=pipeline_id,
        )
    return state


def _check(command: CreatePipeline | RevisePipeline, facts: Facts) -> None:
    if not command.name.strip() or len(command.name) > MAX_NAME:
        raise Invalid("pipeline.invalid_name", f"a name is 1 to {MAX_NAME} characters")
    if len(command.description) > MAX_DESCRIPTION:
        raise Invalid(
            "pipeline.invalid_definition", f"a description is at most {MAX_DESCRIPTION} characters"
        )
    definition = command.definition
    wrong = [*(definition.found_by(problems) or definition.found_by(facts.expression_problems))]
    if command.schedule is not None:
        wrong += schedule_problems(command.schedule)
    if wrong:
        raise Invalid("pipeline.invalid_definition", "; ".join(wrong[:20]), problems=wrong)


PIPELINE: Decider[PipelineCommand | FireSchedule, PipelineEvent, State] = Decider(
    Absent(), decide, evolve, state_version=2
)
