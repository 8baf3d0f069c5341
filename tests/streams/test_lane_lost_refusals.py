"""Refusals of a transaction that a late EndTxn decided in part: found by the simulation."""

from streams.error_table import Action
from streams.turn import Transaction
from tests.streams.driven_worker import Worker, running
from tests.streams.scripts import create, pipeline_at, revise
from tests.streams.test_lane_repair import lose

P, Q = pipeline_at(0), pipeline_at(1)
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


def test_a_refusal_that_a_commit_did_not_bring_is_written_again() -> None:
    """An EndTxn(abort) came behind the refusals, and the commit of the rest was reported OK."""
    worker = running()
    worker.send(revise(P, "B"), 1)
    lose(worker, worker.judged())
    worker.read()
    worker.work()
    assert worker.said(1) == REFUSED
    assert worker.step() is None, "it is told once"


def test_a_refusal_is_written_again_beside_the_events_of_its_transaction() -> None:
    """Found by a fault campaign: the events came back, the refusal between them did not."""
    worker = running()
    worker.send(create(P), 1)
    worker.send(revise(Q, "B"), 2)
    worker.send(revise(P, "B"), 3)
    lose(worker, worker.judged())
    worker.read()
    worker.work()
    assert [worker.said(number) for number in (1, 2, 3)] == [["accepted"], REFUSED, ["accepted"]]
