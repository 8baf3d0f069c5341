"""A time of a schedule and its run: both in one transaction, and one run whatever happens to it."""

import itertools
import uuid
from datetime import timedelta

from domain.execution.messages import ExecutePipeline, ExecutionStarted
from domain.pipeline.pipeline import (
    CreatePipeline,
    FireSchedule,
    PausePipeline,
    PipelineScheduleFired,
)
from domain.schedule import CatchUp, Schedule
from streams.error_table import Action
from streams.topics import partition_of
from streams.verdicts import InternalCommand
from tests.streams.driven_worker import Worker, given_answers, running
from tests.streams.kafka_model import PARTITIONS, TOPICS
from tests.streams.promises import answers_hold, history_is_whole
from tests.streams.scripts import CODEC, DEFINITION, activate, pipeline_at

P = pipeline_at(0)
OFTEN = Schedule("* * * * *", "UTC", CatchUp.LATEST, '{"day": 1}')


def scheduled(schedule: Schedule = OFTEN) -> Worker:
    worker = running()
    worker.send(CreatePipeline(P, "A name", "", DEFINITION, schedule), 1)
    worker.send(activate(P), 2)
    worker.work()
    worker.kafka.wait(60)
    return worker


def tell(worker: Worker) -> None:
    """The engine's word that a time has come."""
    at = worker.kafka.now.replace(second=0, microsecond=0)
    command_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{P} {at}")
    command = InternalCommand("pipeline", 0, P, FireSchedule(P, at), command_id, "corr", "cause")
    worker.lane.take_internal([command])


def fired(worker: Worker) -> list[PipelineScheduleFired]:
    found = [CODEC.decode(event.value or b"") for event in worker.index.events("pipeline", P)]
    return [event for event in found if isinstance(event, PipelineScheduleFired)]


def started(worker: Worker) -> list[ExecutionStarted]:
    stored = worker.kafka.committed(TOPICS.events("execution"))
    found = [CODEC.decode(one.value or b"") for one in stored]
    return [event for event in found if isinstance(event, ExecutionStarted)]


def test_a_time_that_fires_asks_for_its_run_in_the_same_transaction() -> None:
    worker = scheduled()
    tell(worker)
    transaction = worker.step()
    assert transaction is not None
    event, command = transaction.writes
    assert (event.topic, event.partition) == (TOPICS.events("pipeline"), 0)
    made = CODEC.decode(command.value or b"")
    assert isinstance(made, ExecutePipeline)
    home = partition_of(made.execution_id, PARTITIONS)
    assert (command.topic, command.partition) == (TOPICS.commands("execution"), home)
    assert command.key == made.execution_id.encode()
    # By this, what the run makes names the event as its cause.
    assert dict(command.headers)["ce_id"] == dict(event.headers)["ce_id"]


def test_the_run_has_the_schedules_input_and_knows_its_time() -> None:
    worker = scheduled()
    tell(worker)
    worker.work()
    (time,), (run,) = fired(worker), started(worker)
    assert run.execution_id == time.execution_id
    assert (run.pipeline_id, run.input_json) == (P, '{"day": 1}')
    assert run.scheduled_for == time.scheduled_for
    (event,) = worker.index.events("execution", run.execution_id, 1, 1)
    cause = worker.index.event("pipeline", P, 3)
    assert cause is not None
    assert event.headers["ce_causationid"].decode() == cause.event_id
    assert event.headers["ce_correlationid"] == b"corr"


def test_a_time_that_is_told_again_starts_nothing() -> None:
    worker = scheduled()
    for _ in range(3):
        tell(worker)
        tell(worker)
        worker.work()
    assert (len(fired(worker)), len(started(worker))) == (1, 1)


def test_times_that_are_caught_up_start_a_run_each() -> None:
    worker = scheduled(Schedule("* * * * *", "UTC", CatchUp.ALL, "{}"))
    worker.kafka.wait(4 * 60)
    tell(worker)
    worker.work()
    times = [one.scheduled_for for one in fired(worker)]
    assert [b - a for a, b in itertools.pairwise(times)] == [timedelta(minutes=1)] * 4
    assert sorted(one.scheduled_for for one in started(worker) if one.scheduled_for) == times
    history_is_whole(worker.kafka)
    answers_hold(worker.kafka)


def test_a_transaction_that_fails_has_started_nothing_and_comes_again() -> None:
    worker = scheduled()
    tell(worker)
    assert worker.step() is not None
    assert worker.fail("TOPIC_AUTHORIZATION_FAILED") is not Action.REJOIN
    worker.work()
    assert (len(fired(worker)), len(started(worker))) == (1, 1)


def test_what_the_log_turns_out_to_lack_is_written_again_with_its_command() -> None:
    worker = scheduled()
    tell(worker)
    transaction = worker.step()
    assert transaction is not None
    opened = worker.kafka.begin(worker.id, transaction)
    worker.kafka.send_offsets(opened, worker.generation, worker.id)
    worker.kafka.finish(opened, commit=True)
    opened.status = "aborted"
    worker.succeed(opened)
    worker.work()
    assert worker.lane.repaired == 1
    assert (len(fired(worker)), len(started(worker))) == (1, 1)


def test_a_command_that_comes_twice_starts_one_run() -> None:
    """As after a commit of which the broker kept the command alone."""
    worker = scheduled()
    tell(worker)
    transaction = worker.step()
    assert transaction is not None
    worker.kafka.append(transaction.writes[1])
    worker.commit(transaction)
    worker.work()
    (run,) = started(worker)
    assert [a.said[0] for a in given_answers(worker.kafka) if a.identity[1] == run.execution_id]
    answers_hold(worker.kafka)


def test_a_pipeline_that_is_paused_in_between_has_no_run() -> None:
    worker = scheduled()
    tell(worker)
    worker.send(PausePipeline(P, ""), 3)
    worker.work()
    assert (len(fired(worker)), len(started(worker))) == (1, 0)
