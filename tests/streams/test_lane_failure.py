"""What a failed turn leaves behind, what the lane finds missing, and what it never exceeds."""

import pytest

from streams import states as states_module
from streams import turn as turn_module
from streams.error_table import Action
from streams.turn import Write
from tests.streams.driven_worker import running
from tests.streams.kafka_model import TOPICS
from tests.streams.scripts import (
    activate,
    completed,
    create,
    execute,
    execution_at,
    pipeline_at,
    revise,
)

P, Q = pipeline_at(0), pipeline_at(1)
E = execution_at(0)
HERE, THERE = ("pipeline", 0), ("pipeline", 1)


# ── failure ──────────────────────────────────────────────────────────────────────────────


def test_nothing_of_an_aborted_turn_is_known_to_the_next_one() -> None:
    worker = running()
    worker.send(create(P), 1, expected="none")
    worker.judged()
    assert worker.fail("NOT_ENOUGH_REPLICAS") is Action.REOPEN
    worker.reopen()
    worker.work()
    assert (len(worker.events()), worker.said(1)) == (1, ["accepted"])


def test_inputs_of_a_failed_turn_come_again_in_their_order() -> None:
    worker = running()
    numbered = [create(P), create(Q), revise(P, "B"), activate(Q), activate(P)]
    for number, message in enumerate(numbered, 1):
        worker.send(message, number)
    first = worker.judged()
    worker.fail("NOT_ENOUGH_REPLICAS")
    worker.reopen()
    worker.send(revise(P, "C"), 6)
    second = worker.judged()
    keys = [write.key for write in second.writes]
    assert keys[: len(first.writes)] == [write.key for write in first.writes]
    assert keys[-1] == f"{P}#000000000004".encode()


def test_a_rejoin_drops_everything_and_the_next_generation_fetches_it_again() -> None:
    worker = running()
    worker.send(create(P), 1)
    worker.judged()
    assert worker.fail("ILLEGAL_GENERATION") is Action.REJOIN
    assert (worker.lane.owned, worker.lane.queued) == (frozenset(), 0)
    worker.fetch()
    assert worker.lane.queued == 0, "what an old generation fetched is not taken"
    worker.own().work()
    assert worker.said(1) == ["accepted"]


@pytest.mark.parametrize("committed", [True, False])
def test_an_unknown_outcome_is_learnt_by_reading(committed: bool) -> None:
    worker = running()
    worker.send(create(P), 1)
    worker.send(activate(Q), 2)
    opened = worker.kafka.begin(worker.id, worker.judged())
    worker.kafka.send_offsets(opened, worker.generation, worker.id)
    worker.kafka.finish(opened, commit=committed)
    assert worker.fail("_TIMED_OUT") is Action.REOPEN
    worker.reopen()
    worker.work()
    assert len(worker.events()) == 1
    assert set(worker.said(1)) == {"accepted"}
    assert worker.said(2) == ["pipeline.not_found"]


# ── bounds ───────────────────────────────────────────────────────────────────────────────


def test_a_turn_takes_no_more_commands_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_module, "MAX_COMMANDS", 3)
    worker = running()
    for number in range(1, 9):
        worker.send(activate(P), number)
    worker.fetch()
    judged_in_turns = []
    while (transaction := worker.step()) is not None:
        judged_in_turns.append(worker.commit(transaction).judged)
    assert judged_in_turns == [3, 3, 2]


def test_a_turn_ends_when_it_has_grown_large(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = running()
    worker.send(create(P), 1)
    worker.send(create(Q), 2)
    monkeypatch.setattr(turn_module, "MAX_TURN_BYTES", 100)
    assert len(worker.judged().writes) == 1


def test_what_is_not_read_back_is_never_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states_module, "MAX_STATES", 1)
    worker = running()
    ids = [pipeline_at(0, number) for number in range(15)]
    for number, pipeline_id in enumerate(ids):
        worker.send(create(pipeline_id), number)
        worker.turn()
    for number, pipeline_id in enumerate(ids, 50):
        worker.send(create(pipeline_id), number)
    worker.work()
    assert len(worker.events()) == len(ids)
    assert {worker.said(number)[0] for number in range(50, 65)} == {"pipeline.already_exists"}


def test_one_answer_that_never_shows_does_not_keep_all_later_ones_in_memory() -> None:
    worker = running()
    worker.send(activate(P), 1)
    opened = worker.kafka.begin(worker.id, worker.judged())
    worker.kafka.finish(opened, commit=False)
    worker.succeed(opened)
    for number in range(2, 30):
        worker.send(activate(P), number)
        worker.turn()
        worker.read()
    worker.step()
    assert len(worker.lane._repairs.unseen) <= 2


def test_commands_of_another_generation_are_not_taken() -> None:
    worker = running()
    worker.send(create(P), 1)
    worker.generation -= 1
    worker.fetch()
    assert worker.lane.queued == 0


def test_a_foreign_event_that_cannot_be_read_does_not_blame_the_command() -> None:
    worker = running()
    topic = TOPICS.events("pipeline")
    worker.kafka.append(Write(topic, 0, f"{P}#000000000001".encode(), b"garbage", []))
    worker.read()
    worker.send(revise(P, "B"), 1)
    worker.send(create(Q), 2)
    worker.work()
    assert (worker.said(1), worker.said(2)) == (["internal.undecidable"], ["accepted"])


def test_while_the_disk_is_full_commands_are_refused_and_the_engine_waits() -> None:
    worker = running(active=True)
    worker.send(execute(E, P), 3)
    worker.work()
    worker.index.full = True
    worker.send(create(P), 4)
    worker.send(revise(P, "B"), 5)
    worker.lane.take_internal([completed(E)])
    worker.turn()
    worker.read()
    told = worker.said(4), worker.said(5)
    assert told == (["pipeline.already_exists"], ["owner.unavailable"]), "no needs no room"
    assert len(worker.events("execution")) == 2
    worker.index.full = False
    worker.send(revise(P, "B"), 5)
    worker.work()
    assert worker.said(5) == ["owner.unavailable", "accepted"]
    assert len(worker.events("execution")) > 2
