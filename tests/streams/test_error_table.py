"""Each row of the error table, and what the lane holds afterwards."""

import pytest

from streams.error_table import Action, TransactionError, action_for
from tests.streams.driven_worker import running
from tests.streams.scripts import activate, create, pipeline_at

ROWS = [
    (TransactionError("ILLEGAL_GENERATION"), Action.REJOIN),
    (TransactionError("UNKNOWN_MEMBER_ID"), Action.REJOIN),
    (TransactionError("FENCED_INSTANCE_ID"), Action.REJOIN),
    (TransactionError("REBALANCE_IN_PROGRESS"), Action.REJOIN),
    (TransactionError("_FENCED", fatal=True), Action.REOPEN),
    (TransactionError("_TIMED_OUT"), Action.REOPEN),
    (TransactionError("_TRANSPORT"), Action.REOPEN),
    (TransactionError("_ALL_BROKERS_DOWN"), Action.REOPEN),
    (TransactionError("INVALID_TXN_STATE", fatal=True), Action.REOPEN),
    (TransactionError("NOT_ENOUGH_REPLICAS"), Action.REOPEN),
    (TransactionError("MSG_SIZE_TOO_LARGE"), Action.REOPEN),
]


@pytest.mark.parametrize(("error", "action"), ROWS, ids=str)
def test_rows(error: TransactionError, action: Action) -> None:
    assert action_for(error) is action


@pytest.mark.parametrize(("error", "action"), ROWS, ids=str)
def test_inputs_stay_unless_the_generation_is_over(error: TransactionError, action: Action) -> None:
    worker = running()
    worker.send(create(pipeline_at(0)), 1)
    worker.send(activate(pipeline_at(0)), 2)
    worker.judged()
    assert worker.lane.failed(error) is action
    assert worker.lane.queued == (0 if action is Action.REJOIN else 2)
    assert bool(worker.lane.owned) == (action is not Action.REJOIN)
