"""Refusals of a transaction that a late EndTxn decided in part: found by the simulation."""

import pytest

from streams.error_table import Action
from streams.turn import Transaction
from tests.streams.driven_worker import Worker, running
from tests.streams.scripts import pipeline_at, revise

P = pipeline_at(0)
REFUSED = ["pipeline.not_found"]


def offsets_alone(worker: Worker, transaction: Transaction) -> None:
    """Of all that the transaction holds, consumers and the group see its offsets only."""
    for place, offset in transaction.offsets.items():
        worker.kafka.offsets[place] = offset, transaction.metadata[place]


def test_a_refusal_is_written_again_where_its_offset_was_taken_over() -> None:
    """An EndTxn(commit) came between TxnOffsetCommit and the refusals; then INVALID_TXN_STATE."""
    worker = running()
    worker.send(revise(P, "B"), 1)
    offsets_alone(worker, worker.judged())
    assert worker.fail("INVALID_TXN_STATE", fatal=True) is Action.REOPEN
    worker.reopen()
    worker.work()
    assert worker.said(1) == REFUSED


@pytest.mark.xfail(strict=True, reason="a producer that may do so is replaced before")
def test_a_refusal_that_a_commit_did_not_bring_is_written_again() -> None:
    """An EndTxn(abort) came behind the refusals, and the commit of the rest was reported OK."""
    worker = running()
    worker.send(revise(P, "B"), 1)
    offsets_alone(worker, worker.judged())
    worker.lane.committed({})
    worker.work()
    assert worker.said(1) == REFUSED
