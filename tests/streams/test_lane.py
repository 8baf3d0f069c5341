"""What a turn of the lane writes: events, answers, dead letters, offsets; and of duplicates nothing."""

from dataclasses import replace

import pytest

from streams import turn as turn_module
from streams.answers import Answer, read_outcome
from streams.commit_metadata import parse
from streams.records import header_map
from streams.stream_index import WINDOW_MS
from streams.turn import Transaction
from tests.streams.driven_worker import Worker, given_answers, running
from tests.streams.kafka_model import TOPICS
from tests.streams.scripts import (
    CODEC,
    PLACES,
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


def topics(transaction: Transaction) -> list[tuple[str, int]]:
    return [(write.topic.removeprefix("t."), write.partition) for write in transaction.writes]


def outcomes_of(worker: Worker) -> list[Answer]:
    """Whole answers, as they stand on the outcomes topic."""
    stored = worker.kafka.committed(TOPICS.outcomes)
    return [read_outcome(header_map(s.headers), s.value or b"", CODEC) for s in stored]


# ── what is written ──────────────────────────────────────────────────────────────────────


def test_events_are_written_where_their_aggregate_stands_and_answered_only_when_read_back() -> None:
    worker = running()
    worker.send(create(Q))
    transaction = worker.judged()
    assert topics(transaction) == [("pipeline.events", 1)]
    worker.commit(transaction)
    assert worker.said(1) == []
    worker.read()
    assert worker.said(1) == ["accepted"]


def test_a_refusal_travels_in_the_transaction() -> None:
    worker = running()
    worker.send(activate(Q))
    transaction = worker.judged()
    assert topics(transaction) == [("outcomes", 1)]
    settled = worker.commit(transaction)
    assert (settled.judged, settled.refused) == (1, 1)
    assert worker.said(1) == ["pipeline.not_found"]


def test_an_acceptance_without_events_travels_in_the_transaction() -> None:
    worker = running(active=True)
    worker.send(activate(P))
    assert topics(worker.judged()) == [("outcomes", 0)]


def test_a_stray_is_forwarded_as_it_is_and_then_judged_at_home() -> None:
    worker = running()
    sent = worker.send(create(Q), partition=0)
    transaction = worker.judged()
    (forwarded,) = transaction.writes
    assert (forwarded.topic, forwarded.partition) == (TOPICS.commands("pipeline"), 1)
    assert (forwarded.key, forwarded.value) == (sent.key, sent.value)
    assert list(forwarded.headers) == [*sent.headers, ("ce_forwarded", b"0")]
    worker.commit(transaction)
    worker.work()
    assert worker.said(1) == ["accepted"]


@pytest.mark.parametrize(
    "broken",
    [{"value": None}, {"value": b"\xff\xfe"}, {"key": b"\xff\xfe"}, {"headers": [("x", b"\0y")]}],
)
def test_a_dead_letter_is_the_record_byte_for_byte_with_its_place(broken: dict[str, bytes]) -> None:
    worker = running()
    worker.send(create(P), 8)
    sent = worker.send(create(P), **broken)  # type: ignore[arg-type]
    (dead,) = (write for write in worker.judged().writes if write.topic == TOPICS.dead)
    assert (dead.key, dead.value) == (sent.key, sent.value)
    assert list(dead.headers[: len(sent.headers)]) == list(sent.headers)
    told = header_map(dead.headers[len(sent.headers) :])
    assert told["dead_reason"].startswith(b"command.unreadable")
    assert (told["dead_topic"], told["dead_partition"], told["dead_offset"]) == (
        b"t.pipeline.commands",
        b"0",
        b"1",
    )


def test_a_record_larger_than_the_topic_of_dead_letters_leaves_its_place_there() -> None:
    worker = running()
    worker.send(create(P), value=b"\xff" * (turn_module.MAX_DEAD_BYTES + 1))
    dead = worker.judged().writes[0]
    assert (dead.value, dead.key) == (None, None)
    assert {"dead_dropped_bytes", "dead_offset"} <= header_map(dead.headers).keys()


def test_one_bad_record_does_not_hold_up_the_next() -> None:
    worker = running()
    worker.send(create(P), 1, value=b"garbage")
    worker.send(create(P), 2)
    worker.work()
    assert (worker.said(1), worker.said(2)) == (["command.unreadable"], ["accepted"])


# ── offsets and metadata ─────────────────────────────────────────────────────────────────


def test_each_place_that_was_read_gets_its_next_offset() -> None:
    worker = running()
    worker.send(create(P), 1)
    worker.send(revise(P, "B"), 2)
    worker.send(activate(Q), 3)
    assert worker.judged().offsets == {HERE: 2, THERE: 1}


def test_metadata_names_writer_pages_and_the_last_event_of_the_place() -> None:
    worker = running()
    worker.send(create(P), 1)
    worker.send(revise(P, "B"), 2)
    worker.turn()
    worker.send(activate("missing"), 3, partition=0, key=P.encode())
    metadata = parse(worker.judged().metadata[HERE])
    assert metadata.transactional_id == worker.id
    assert metadata.url == "http://127.0.0.1:8000"
    assert metadata.last_event_key == f"{P}#000000000002", "also where nothing new was written"


def test_an_internal_command_carries_the_last_offset_again_so_that_a_zombie_is_refused() -> None:
    worker = running(active=True)
    worker.send(execute(E, P), 1)
    worker.work()
    worker.lane.take_internal([completed(E)])
    transaction = worker.step()
    assert transaction is not None
    assert transaction.offsets == {("execution", 0): 1}


def test_where_nothing_was_ever_read_the_offset_of_an_internal_command_is_0() -> None:
    worker = running(active=True)
    worker.send(execute(E, P), 1)
    worker.work()
    del worker.kafka.offsets["execution", 0]
    worker.own()
    worker.lane.take_internal([completed(E)])
    transaction = worker.step()
    assert transaction is not None
    assert transaction.offsets == {("execution", 0): 0}


# ── the same command again ───────────────────────────────────────────────────────────────


def test_a_duplicate_in_the_same_turn_has_no_effect_of_its_own() -> None:
    worker = running()
    worker.send(create(P), 1)
    worker.send(create(P), 1)
    worker.work()
    assert (len(worker.events()), worker.said(1)) == (1, ["accepted"])


def test_a_duplicate_of_what_is_committed_but_not_read_back_waits_for_the_tailer() -> None:
    worker = running()
    worker.send(create(P), 1)
    worker.turn()
    worker.send(create(P), 1)
    worker.turn()
    assert worker.said(1) == []
    worker.read()
    assert (len(worker.events()), worker.said(1)) == (1, ["accepted"])


def test_a_duplicate_of_what_is_read_back_is_answered_again_with_its_position() -> None:
    worker = running()
    worker.send(create(P), 1)
    (first,) = worker.work()
    worker.send(create(P), 1)
    settled = worker.turn()
    assert settled is not None
    assert settled.events == []
    again = outcomes_of(worker)[-1]
    assert again == first
    assert again.position == "pipeline/0@0"


def test_a_duplicate_of_a_refusal_is_answered_again_though_it_would_do_now() -> None:
    worker = running()
    worker.send(activate(P), 1)
    worker.send(create(P), 2)
    worker.turn()
    worker.send(activate(P), 1)
    worker.work()
    assert worker.said(1) == ["pipeline.not_found", "pipeline.not_found"]


@pytest.mark.parametrize("between", ["nothing", "commit", "read"])
def test_the_same_id_with_other_content_is_reused_and_harms_nothing(between: str) -> None:
    worker = running()
    worker.send(create(P), 1)
    if between != "nothing":
        worker.turn()
    if between == "read":
        worker.read()
    worker.send(revise(P, "B"), 1)
    worker.send(create(P), 1)
    worker.work()
    assert len(worker.events()) == 1
    assert set(worker.said(1)) == {"accepted", "command.id_reused"}


def test_a_record_that_is_fetched_twice_is_judged_once() -> None:
    worker = running()
    worker.send(activate(P), 1)
    worker.fetch()
    worker.fetched[HERE] = 0
    settled = worker.turn()
    assert settled is not None
    assert settled.judged == 1


def test_seven_days_later_an_id_is_new_again() -> None:
    worker = running()
    worker.send(activate(P), 1)
    worker.work()
    worker.kafka.wait(WINDOW_MS / 1000 + 2 * 60 * 60)
    worker.index.expire(int(worker.kafka.now.timestamp() * 1000))
    worker.step()
    worker.send(create(P), 1)
    worker.work()
    assert worker.said(1) == ["pipeline.not_found", "accepted"]


# ── the engine ───────────────────────────────────────────────────────────────────────────


def started() -> Worker:
    worker = running(active=True)
    worker.send(execute(E, P), 1)
    worker.work()
    return worker


def test_the_engine_is_never_answered_and_takes_effect_once() -> None:
    worker = started()
    answers = len(given_answers(worker.kafka))
    for _ in range(2):
        worker.lane.take_internal([completed(E), completed(E)])
        worker.work()
    assert len(worker.events("execution")) == 4
    assert len(given_answers(worker.kafka)) == answers


def test_a_result_that_cannot_be_encoded_fails_its_step() -> None:
    worker = started()
    worker.lane.take_internal([completed(E, '"\ud800"')])
    worker.work()
    failed, ended = worker.index.events("execution", E, 3)
    assert failed.type == "flexcore.execution.PipelineStepFailed"
    assert ended.type == "flexcore.execution.ExecutionFailed"


def test_results_for_places_that_are_gone_are_dropped_and_others_survive_a_rejoin() -> None:
    worker = started()
    worker.lane.take_internal([completed(E)])
    worker.lane.close()
    worker.own(*(place for place in PLACES if place[0] == "execution"))
    worker.work()
    assert len(worker.events("execution")) == 4
    worker.lane.take_internal([replace(completed(E), partition=7)])
    assert worker.step() is None
