"""What was committed is looked for in the log, and written again where the log turned out to lack it.

The model's `lose` stands for a stray EndTxn (KAFKA-17754): commit said yes, a partition says no.
"""

from streams.error_table import Action
from streams.turn import Transaction
from tests.streams.driven_worker import Worker, running
from tests.streams.kafka_model import Open
from tests.streams.scripts import (
    completed,
    create,
    execute,
    execution_at,
    pipeline_at,
    revise,
)

P, Q = pipeline_at(0), pipeline_at(1)
E = execution_at(0)


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
    assert worker.fail("NOT_ENOUGH_REPLICAS") is Action.REOPEN
    worker.reopen()
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
    assert worker.fail("_TIMED_OUT") is Action.REOPEN
    worker.reopen()
    worker.send(revise(P, "B"), 3)
    worker.work()
    assert [worker.said(number) for number in (1, 2, 3)] == [["accepted"]] * 3
    assert worker.events().count(f"{P}#000000000001".encode()) == 1


# ── a transaction that was committed in part ─────────────────────────────────────────────


def in_part(worker: Worker, seen: int, *, offsets: bool = False) -> Transaction:
    """The lane is told that its transaction failed, while its first `seen` events are there."""
    transaction = worker.judged()
    for write in [w for w in transaction.writes if w.place][:seen]:
        worker.kafka.append(write)
    if offsets:
        for place, offset in transaction.offsets.items():
            worker.kafka.offsets[place] = offset, transaction.metadata[place]
    assert worker.fail("_TIMED_OUT") is Action.REOPEN
    worker.reopen()
    return transaction


def test_a_torn_command_gets_the_rest_of_its_events() -> None:
    worker = running(active=True)
    worker.send(execute(E, P), 3)
    transaction = in_part(worker, 1)
    worker.work()
    assert worker.events("execution") == [write.key for write in transaction.writes]
    assert set(worker.said(3)) == {"accepted"}
    assert worker.lane.repaired == 1


def test_the_engine_hears_of_the_events_it_was_never_told() -> None:
    worker = running(active=True)
    worker.send(execute(E, P), 3)
    in_part(worker, 1)
    worker.work()
    told = [event.version for settled in worker.settled for event in settled.events]
    assert told[-1] == 2


def test_commands_behind_a_torn_one_are_decided_on_all_of_its_events() -> None:
    worker = running(active=True)
    worker.send(execute(E, P), 3)
    in_part(worker, 1)
    worker.lane.take_internal([completed(E)])
    worker.work()
    versions = [int((key or b"").rpartition(b"#")[2]) for key in worker.events("execution")]
    assert versions == list(range(1, len(versions) + 1))
    assert len(versions) > 2, "the step's end was taken"


def test_a_place_whose_offsets_were_taken_over_gets_all_its_events() -> None:
    worker = running()
    worker.send(create(P), 1)
    worker.send(create(Q), 2)
    in_part(worker, 1, offsets=True)
    worker.work()
    assert sorted(key or b"" for key in worker.events()) == sorted(
        f"{one}#000000000001".encode() for one in (P, Q)
    )
    assert [set(worker.said(number)) for number in (1, 2)] == [{"accepted"}] * 2


def test_what_became_visible_of_a_failed_transaction_is_not_decided_again() -> None:
    worker = running(active=True)
    worker.send(revise(P, "B"), 3)
    in_part(worker, 1)
    worker.work()
    assert worker.index.last_version("pipeline", P) == 3
    assert set(worker.said(3)) == {"accepted"}


def test_what_was_missing_when_the_engine_read_anew_is_told_to_it_again() -> None:
    worker = running(active=True)
    worker.send(execute(E, P), 3)
    lose(worker, worker.judged())
    worker.send(create(Q), 4)
    worker.judged()
    assert worker.fail("_TIMED_OUT") is Action.REOPEN
    worker.reopen()
    worker.settled.clear()
    worker.work()
    told = [event.key for settled in worker.settled for event in settled.events]
    assert [key.decode() for key in told if key.startswith(E.encode())] == [
        f"{E}#000000000001",
        f"{E}#000000000002",
    ]
