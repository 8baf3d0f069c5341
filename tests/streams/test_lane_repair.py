"""What was committed is looked for in the log, and written again where the log turned out to lack it.

The model's `lose` stands for a stray EndTxn (KAFKA-17754): commit said yes, a partition says no.
"""

from streams.error_table import Action
from streams.turn import Transaction
from tests.streams.driven_worker import Worker, running
from tests.streams.kafka_model import Open
from tests.streams.scripts import create, pipeline_at, revise

P, Q = pipeline_at(0), pipeline_at(1)


def lose(worker: Worker, transaction: Transaction) -> Open:
    """Commit says yes; offsets are there, the records are not."""
    opened = worker.kafka.begin(worker.id, transaction)
    worker.kafka.send_offsets(opened, worker.generation, worker.id)
    worker.kafka.finish(opened, commit=True)
    opened.status = "aborted"
    worker.succeed(opened)
    return opened


def test_a_missing_event_is_written_again_when_its_position_has_passed() -> None:
    worker = running()
    worker.send(create(P), 1)
    lost = lose(worker, worker.judged())
    assert worker.step() is None, "as long as its position is not read, nothing is missing"
    worker.read()
    repair = worker.step()
    assert repair is not None
    assert list(repair.writes) == list(lost.transaction.writes)
    assert repair.offsets == {("pipeline", 0): 1}, "nobody who lost the place may repair it"
    worker.commit(repair)
    worker.read()
    assert (worker.said(1), worker.lane.repaired) == (["accepted"], 1)


def test_it_is_no_news_to_the_engine_and_counts_as_written() -> None:
    worker = running()
    worker.send(create(P), 1)
    lose(worker, worker.judged())
    worker.read()
    settled = worker.turn()
    assert settled is not None
    assert (settled.events, settled.judged) == ([], 0)
    worker.work()
    assert worker.step() is None


def test_commands_decided_meanwhile_stand_behind_the_missing_event() -> None:
    worker = running()
    worker.send(create(P), 1)
    lose(worker, worker.judged())
    worker.send(revise(P, "B"), 2)
    worker.turn()
    worker.read()
    worker.send(revise(P, "C"), 3)
    worker.work()
    assert [worker.said(number) for number in (1, 2, 3)] == [["accepted"]] * 3
    assert worker.index.last_version("pipeline", P) == 3
    assert worker.tailer.gaps() == {}
    assert worker.tailer.conflicts == 0


def test_a_repair_that_fails_is_tried_again() -> None:
    worker = running()
    worker.send(create(P), 1)
    lose(worker, worker.judged())
    worker.read()
    worker.judged()
    assert worker.fail("NOT_ENOUGH_REPLICAS") is Action.RETRY
    worker.work()
    assert worker.said(1) == ["accepted"]


def test_new_producers_in_the_same_generation_do_not_forget_what_is_missing() -> None:
    worker = running()
    worker.send(create(P), 1)
    opened = lose(worker, worker.judged())
    # The whole transaction went, offsets and metadata too: the fence has no way to tell.
    for place in opened.transaction.offsets:
        del worker.kafka.offsets[place]
    worker.send(create(Q), 2)
    worker.judged()
    assert worker.fail("_TIMED_OUT", aborted=False) is Action.REOPEN
    worker.reopen()
    worker.send(revise(P, "B"), 3)
    worker.work()
    assert [worker.said(number) for number in (1, 2, 3)] == [["accepted"]] * 3
    assert worker.events().count(f"{P}#000000000001".encode()) == 1
