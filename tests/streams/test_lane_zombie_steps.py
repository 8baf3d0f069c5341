"""A worker that was out of the group and comes back: what the engine has said is not forgotten."""

import uuid

from domain.execution.messages import RedeliverStep
from streams.error_table import Action
from streams.topics import partition_of
from streams.verdicts import InternalCommand
from tests.streams.driven_worker import Worker, running
from tests.streams.kafka_model import PARTITIONS
from tests.streams.scripts import PLACES, completed, execute, execution_at, pipeline_at

P, E = pipeline_at(0), execution_at(0)


def redelivered(delivery: int) -> InternalCommand:
    place = "execution", partition_of(E, PARTITIONS)
    command_id = uuid.uuid5(uuid.UUID(E), f"redeliver/{delivery}")
    return InternalCommand(*place, E, RedeliverStep(E, "only", 1, delivery), command_id, "", "")


def test_a_result_is_judged_again_when_what_it_was_judged_on_did_not_come_true() -> None:
    """The simulation found it: seed 177, a run that never ended."""
    stale = running(active=True)
    stale.send(execute(E, P), 3)
    stale.work()
    stale.lane.take_internal([completed(E)])
    stale.in_flight = stale.kafka.begin(stale.id, stale.judged())

    other = Worker(stale.kafka, 1).own()
    other.lane.take_internal([redelivered(1)])
    other.work()

    stale.read()
    assert stale.fail("_FENCED", fatal=True) is Action.REOPEN
    stale.start_fence(stale.generation, PLACES)
    stale.read()
    while stale.fencing is not None:
        stale.step_fence()
    stale.lane.take_internal([redelivered(2)])
    stale.judged()
    assert stale.fail("UNKNOWN_MEMBER_ID") is Action.REJOIN

    stale.own().work()
    assert stale.index.last_version("execution", E) == 5, "the step's result is taken, the run ends"
