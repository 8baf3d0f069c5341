"""Appends from within: conditions, all or none, once per id, and nothing lost on the way."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from domain.errors import Invalid, Unavailable, VersionConflict
from domain.pipeline.pipeline import PipelineActivated, PipelineCreated
from streams.appends import Append, Result
from streams.event_store import Part
from streams.records import ExpectedVersion
from tests.streams.driven_worker import Worker, running
from tests.streams.scripts import DEFINITION, create, pipeline_at

P, Q = pipeline_at(0), pipeline_at(0, 1)
AT = datetime(2026, 11, 1, tzinfo=UTC)
NONE = ExpectedVersion("none")


def created(pipeline_id: str) -> PipelineCreated:
    return PipelineCreated(pipeline_id, 1, "h", "Name", "me", AT, "", DEFINITION)


def activated(pipeline_id: str) -> PipelineActivated:
    return PipelineActivated(pipeline_id, "me", AT, "")


def asked(worker: Worker, parts: Sequence[Part], number: int = 1) -> list[Any]:
    """Hand an append to the lane; what it is told comes into the list."""
    told: list[Result] = []
    append = Append("pipeline", 0, parts, uuid.UUID(int=number), told.append)
    worker.lane.take_append(append)
    return told


def settle(worker: Worker) -> None:
    worker.work()
    for settled in worker.settled:
        for append, answers in settled.appends:
            append.on_done(answers)
    worker.settled.clear()


def test_several_aggregates_are_written_in_one_transaction() -> None:
    worker = running()
    told = asked(worker, [Part(P, [created(P), activated(P)], NONE), Part(Q, [created(Q)], NONE)])
    transaction = worker.step()
    assert transaction is not None
    assert len(transaction.writes) == 3
    assert set(transaction.offsets) == {("pipeline", 0)}, "nobody who lost the place may write"
    worker.commit(transaction)
    settle(worker)
    assert {name: answer.versions for name, answer in told[0].items()} == {P: (1, 2), Q: (1,)}


def test_one_condition_that_fails_keeps_everything_out() -> None:
    worker = running()
    told = asked(worker, [Part(P, [created(P)], NONE), Part(Q, (), ExpectedVersion("exists"))])
    settle(worker)
    assert isinstance(told[0], VersionConflict)
    assert worker.events() == []


def test_the_same_append_takes_effect_once() -> None:
    worker = running()
    first = asked(worker, [Part(P, [created(P)], NONE)])
    settle(worker)
    again = asked(worker, [Part(P, [created(P)], NONE)])
    settle(worker)
    assert [one[0][P].versions for one in (first, again)] == [(1,), (1,)]
    assert len(worker.events()) == 1


def test_an_append_sees_what_commands_of_its_turn_decided_before() -> None:
    worker = running()
    worker.send(create(P), 7)
    worker.turn()
    told = asked(worker, [Part(P, [activated(P)], ExpectedVersion("exact", 1))])
    settle(worker)
    assert told[0][P].versions == (2,)


def test_a_failed_transaction_keeps_its_appends() -> None:
    worker = running()
    told = asked(worker, [Part(P, [created(P)], NONE)])
    assert worker.step() is not None
    worker.fail("_TIMED_OUT")
    assert told == []
    worker.reopen()
    settle(worker)
    assert told[0][P].versions == (1,)


def test_whoever_loses_the_partition_says_so() -> None:
    worker = running()
    told = asked(worker, [Part(P, [created(P)], NONE)])
    assert worker.step() is not None
    worker.fail("ILLEGAL_GENERATION")
    late = asked(worker, [Part(P, [created(P)], NONE)], 2)
    assert [type(one[0]) for one in (told, late)] == [Unavailable, Unavailable]


def test_what_cannot_be_encoded_is_refused_and_the_lane_goes_on() -> None:
    worker = running()
    told = asked(worker, [Part(P, [PipelineActivated(P, 5, AT, "")], NONE)])  # type: ignore[arg-type]
    worker.send(create(Q), 7)
    settle(worker)
    assert isinstance(told[0], Invalid)
    assert worker.said(7) == ["accepted"]


def test_nobody_is_answered_on_the_outcomes_topic() -> None:
    worker = running()
    asked(worker, [Part(P, [created(P)], NONE)])
    assert worker.work() == []
