"""A snapshot is written when it is due, believed beside its very event alone, and changes nothing."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.contexts import CONTEXTS
from domain.decider import Decider
from schemas.codec import Codec
from streams.due_snapshots import DueSnapshots, Rhythm
from streams.memory_stream_index import MemoryStreamIndex
from streams.snapshots import state_hash
from streams.states import folded, restored
from streams.turn import Transaction, Write
from tests.streams.driven_worker import Worker, given_answers, running
from tests.streams.kafka_model import TOPICS
from tests.streams.scripts import (
    CODEC,
    activate,
    completed,
    create,
    execute,
    execution_at,
    pipeline_at,
    revise,
)

P, Q, E = pipeline_at(0), pipeline_at(1), execution_at(0)
PIPELINE = CONTEXTS["pipeline"]


def snapshots(transaction: Transaction) -> list[tuple[str, int]]:
    """(aggregate, version) of those that a transaction would write."""
    topics = {TOPICS.snapshots(context) for context in CONTEXTS}
    return [
        ((write.key or b"").decode(), int(dict(write.headers)["ce_aggregateversion"]))
        for write in transaction.writes
        if write.topic in topics
    ]


def every(events: int) -> Rhythm:
    return Rhythm(events, timedelta(0))


def revised(worker: Worker, count: int) -> None:
    """One turn in which so many commands revise P, read back."""
    for number in range(1, count + 1):
        worker.send(revise(P, f"name {number}"), number)
    worker.turn()
    worker.read()


def next_turn(worker: Worker) -> Transaction:
    """One about something else, which has the snapshots that are due."""
    worker.send(create(Q), 99)
    return worker.judged()


# ── when ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("count", "expected"), [(1, []), (2, [(P, 4)]), (3, [(P, 5)]), (7, [(P, 9)])]
)
def test_the_last_state_of_a_turn_that_passed_a_multiple_is_written(
    count: int, expected: list[tuple[str, int]]
) -> None:
    worker = running(active=True, rhythm=every(4))
    revised(worker, count)
    transaction = next_turn(worker)
    assert snapshots(transaction) == expected
    assert (("pipeline", 0) in transaction.offsets) == bool(expected), "or a zombie could write it"


@pytest.mark.parametrize(("events", "expected"), [(4, [(E, 4)]), (3, [(E, 4)]), (5, [])])
def test_the_end_of_a_run_replaces_a_snapshot_and_a_short_run_has_none(
    events: int, expected: list[tuple[str, int]]
) -> None:
    worker = running(active=True, rhythm=every(events))
    worker.send(execute(E, P), 1)
    worker.work()
    worker.lane.take_internal([completed(E)])
    worker.work()
    assert snapshots(next_turn(worker)) == expected


def test_what_is_not_read_back_yet_waits() -> None:
    worker = running(active=True, rhythm=every(3))
    worker.send(revise(P, "A"), 1)
    worker.turn()
    assert snapshots(worker.commit_judged(create(Q), 2)) == []
    worker.read()
    assert snapshots(worker.commit_judged(revise(Q, "A"), 3)) == [(P, 3)]


def test_snapshots_wait_for_each_other() -> None:
    worker = running(active=True, rhythm=Rhythm(3, timedelta(seconds=5)))
    revised(worker, 1)
    assert snapshots(worker.commit_judged(create(Q), 90)) == [(P, 3)]
    for number in range(91, 94):
        found = snapshots(worker.commit_judged(revise(Q, f"name {number}"), number))
        worker.read()
        assert found == []
    worker.kafka.wait(5)
    assert snapshots(worker.commit_judged(revise(P, "B"), 94)) == [(Q, 3)]


def test_of_an_aggregate_whose_event_was_written_again_none_is_written() -> None:
    worker = running(active=True, rhythm=every(3))
    redact(worker, 1)
    revised(worker, 4)
    assert snapshots(next_turn(worker)) == []


def test_what_a_rebalance_took_away_is_not_written() -> None:
    worker = running(active=True, rhythm=every(3))
    revised(worker, 1)
    worker.own()
    assert snapshots(next_turn(worker)) == []


def test_a_state_that_cannot_be_written_costs_no_turn() -> None:
    worker = running(active=True, rhythm=every(3))
    ids = {name: id_ for name, id_ in CODEC.ids.items() if name != "flexcore.pipeline.Pipeline"}
    worker.lane._snapshots = DueSnapshots(worker.index, Codec(ids), every(3))
    revised(worker, 1)
    assert snapshots(next_turn(worker)) == []


# ── what it is worth ─────────────────────────────────────────────────────────────────────


def state(worker: Worker) -> tuple[int, str]:
    version, found = folded(worker.index, CODEC, PIPELINE, P)
    return version, found.name


def snapped() -> Worker:
    """P has three events, of which the second command's is the last that has a name."""
    worker = running(rhythm=every(3))
    for number, message in enumerate((create(P), revise(P, "B"), activate(P), create(Q)), 1):
        worker.send(message, number)
        worker.work()
    assert restored(worker.index, CODEC, PIPELINE, P) == folded(worker.index, CODEC, PIPELINE, P)
    return worker


def redact(worker: Worker, version: int) -> None:
    event = worker.index.event("pipeline", P, version)
    assert event is not None
    message = CODEC.decode(event.value or b"")
    value = CODEC.encode(replace(message, name="redacted"))
    key, headers = f"{P}#{version:012d}".encode(), list(event.headers.items())
    worker.kafka.append(Write(TOPICS.events("pipeline"), 0, key, value, headers))
    worker.read()


def changed(worker: Worker, **headers: bytes) -> None:
    """The snapshot of P once more, with other headers."""
    (last,) = worker.kafka.committed(TOPICS.snapshots("pipeline"))
    found = [*({**dict(last.headers), **headers}).items()]
    worker.kafka.append(Write(TOPICS.snapshots("pipeline"), 0, last.key, last.value, found))
    worker.read()


@pytest.mark.parametrize("name", ["ce_eventid", "ce_eventhash", "ce_statehash"])
def test_a_snapshot_of_another_event_or_another_kind_of_state_is_passed_over(name: str) -> None:
    worker = snapped()
    changed(worker, **{name: b"another"})
    assert restored(worker.index, CODEC, PIPELINE, P) is None
    assert state(worker) == (3, "B")


@pytest.mark.parametrize("version", [b"2", b"4", b"0"])
def test_a_snapshot_of_another_version_is_passed_over(version: bytes) -> None:
    worker = snapped()
    changed(worker, ce_aggregateversion=version)
    assert restored(worker.index, CODEC, PIPELINE, P) is None


def test_a_snapshot_of_states_that_meant_something_else_is_passed_over() -> None:
    worker = snapped()
    later = PIPELINE.decider.state_version + 1
    decider: Decider[Any, Any, Any] = replace(PIPELINE.decider, state_version=later)
    renewed: Mapping[str, Any] = {"pipeline": replace(PIPELINE, decider=decider)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.snapshots.CONTEXTS", renewed)
        state_hash.cache_clear()
        assert restored(worker.index, CODEC, PIPELINE, P) is None
    state_hash.cache_clear()
    assert restored(worker.index, CODEC, PIPELINE, P) is not None


def test_a_snapshot_does_not_keep_what_redaction_erased() -> None:
    worker = snapped()
    redact(worker, 2)
    assert restored(worker.index, CODEC, PIPELINE, P) is None
    assert state(worker) == (3, "redacted")


def test_a_snapshot_of_an_event_that_stands_elsewhere_now_is_passed_over() -> None:
    """Written again as it was, behind a redacted one, the first copies of both compacted away."""
    worker = snapped()
    known = worker.index.snapshot("pipeline", P)
    assert known is not None
    redact(worker, 2)
    created, revised, activated = worker.index.events("pipeline", P)
    index = MemoryStreamIndex()
    behind = activated._replace(offset=revised.offset + 1)
    index.append([created, revised, behind])
    index.keep(known)
    assert restored(index, CODEC, PIPELINE, P) is None
    assert folded(index, CODEC, PIPELINE, P)[1].name == "redacted"


def test_bytes_that_are_no_state_are_passed_over() -> None:
    worker = snapped()
    (last,) = worker.kafka.committed(TOPICS.snapshots("pipeline"))
    for value in (b"", b"garbage", (last.value or b"")[:-1], CODEC.encode(create(P))):
        write = Write(TOPICS.snapshots("pipeline"), 0, last.key, value, last.headers)
        worker.kafka.append(write)
        worker.read()
        assert restored(worker.index, CODEC, PIPELINE, P) is None
        assert state(worker) == (3, "B")


# ── what it changes ──────────────────────────────────────────────────────────────────────

COMMANDS = st.lists(
    st.sampled_from([create(P), revise(P, "A"), revise(P, "B"), activate(P), execute(E, P)]),
    min_size=1,
    max_size=12,
)


def told(script: list[Any], before: int, events: int, *, delete: bool) -> tuple[Any, ...]:
    """Answers, events and states where another worker takes over in between."""
    worker = running(active=True, rhythm=every(events))
    for number, message in enumerate(script, 1):
        if number == before:
            if delete:
                delete_all(worker)
            worker = Worker(worker.kafka, 1, every(events)).own()
        worker.send(message, number)
        worker.work()
    states = [
        folded(worker.index, CODEC, c, a) for c, a in zip(CONTEXTS.values(), (P, E), strict=True)
    ]
    return given_answers(worker.kafka), worker.events(), worker.events("execution"), states


def delete_all(worker: Worker) -> None:
    for context in CONTEXTS:
        for stored in worker.kafka.committed(TOPICS.snapshots(context)):
            topic = TOPICS.snapshots(context)
            worker.kafka.append(Write(topic, 0, stored.key, None, ()))
    worker.read()
    assert worker.index.snapshot("pipeline", P) is None


@given(COMMANDS, st.integers(1, 12), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_deleting_all_snapshots_changes_nothing(
    script: list[Any], before: int, events: int
) -> None:
    kept, deleted = (told(script, before, events, delete=delete) for delete in (False, True))
    assert kept == deleted
