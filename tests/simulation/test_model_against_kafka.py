"""The simulation is worth what its model is: the same scenarios on the model and on a real Kafka."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.simulation.sides import ModelSide, RealSide, Side

Seen = list[Any]


def look(side: Side) -> Seen:
    """Everything a reader, a fence and a group can see."""
    return [(side.seen(p), side.ends(p)) for p in range(2)]


def committed_records_are_seen_and_a_marker_takes_an_offset(side: Side) -> Seen:
    side.init("a")
    side.write("a", 0, "1")
    side.write("a", 0, "2")
    return [side.end("a", commit=True), look(side)]


def aborted_records_are_never_seen_and_keep_their_offsets(side: Side) -> Seen:
    side.init("a")
    side.write("a", 0, "1")
    ended = side.end("a", commit=False)
    side.plain(0, "2")
    return [ended, look(side)]


def an_open_transaction_holds_readers_back(side: Side) -> Seen:
    side.plain(0, "1")
    side.init("a")
    side.write("a", 0, "2")
    side.plain(0, "3")
    return [look(side), side.end("a", commit=True), look(side)]


def the_first_open_transaction_holds_back_what_others_commit(side: Side) -> Seen:
    side.init("a")
    side.init("b")
    side.write("a", 0, "1")
    side.write("b", 0, "2")
    ended = side.end("b", commit=True)
    return [ended, look(side), side.end("a", commit=False), look(side)]


def two_partitions_are_decided_together_with_a_marker_each(side: Side) -> Seen:
    side.init("a")
    side.write("a", 0, "1")
    side.write("a", 1, "2")
    before = look(side)
    return [before, side.end("a", commit=True), look(side)]


def a_producer_goes_on_after_commit_and_abort(side: Side) -> Seen:
    side.init("a")
    ended = []
    for value, commit in (("1", True), ("2", False), ("3", True)):
        side.write("a", 0, value)
        ended.append(side.end("a", commit=commit))
    return [ended, look(side)]


def initializing_an_id_aborts_what_it_left_open(side: Side) -> Seen:
    side.init("a")
    side.write("a", 0, "1")
    side.init("a'")
    return [look(side)]


def whoever_held_the_id_before_is_fenced(side: Side) -> Seen:
    side.init("a")
    side.write("a", 0, "1")
    side.init("a'")
    side.write("a", 0, "2")
    ended = side.end("a", commit=True)
    side.write("a'", 0, "3")
    return [ended, side.end("a'", commit=True), look(side)]


def offsets_are_not_stable_until_they_are_decided(side: Side) -> Seen:
    side.join("m")
    side.init("a")
    side.write("a", 0, "1")
    before = side.stable()
    side.send_offset("a", 7, "m")
    between = side.stable()
    return [before, between, side.end("a", commit=True), side.stable()]


def aborted_offsets_leave_those_before(side: Side) -> Seen:
    side.join("m")
    side.init("a")
    for offset, commit in ((3, True), (9, False)):
        side.write("a", 0, "x")
        side.send_offset("a", offset, "m")
        side.end("a", commit=commit)
    return [side.stable(), look(side)]


def offsets_alone_are_a_transaction(side: Side) -> Seen:
    side.join("m")
    side.init("a")
    side.send_offset("a", 5, "m")
    return [side.stable(), side.end("a", commit=True), side.stable(), look(side)]


def initializing_an_id_makes_its_offsets_stable_again(side: Side) -> Seen:
    side.join("m")
    side.init("a")
    side.write("a", 0, "1")
    side.send_offset("a", 5, "m")
    pending = side.stable()
    side.init("a'")
    return [pending, side.stable(), look(side)]


def a_generation_that_is_over_commits_no_offsets(side: Side) -> Seen:
    side.join("m")
    side.join("n")
    side.init("a")
    side.write("a", 0, "1")
    side.send_offset("a", 5, "m")
    return [side.end("a", commit=True), side.stable(), look(side)]


def a_member_that_has_left_commits_no_offsets(side: Side) -> Seen:
    side.join("m")
    side.join("n")
    side.leave("n")
    side.init("a")
    side.write("a", 0, "1")
    side.send_offset("a", 5, "n")
    return [side.end("a", commit=True), side.stable(), look(side)]


def offsets_sent_in_time_are_committed_after_the_generation(side: Side) -> Seen:
    side.join("m")
    side.init("a")
    side.write("a", 0, "1")
    side.send_offset("a", 5, "m")
    side.join("n")
    side.write("a", 1, "2")
    return [side.end("a", commit=True), side.stable(), look(side)]


SCENARIOS: list[Callable[[Side], Seen]] = [
    committed_records_are_seen_and_a_marker_takes_an_offset,
    aborted_records_are_never_seen_and_keep_their_offsets,
    an_open_transaction_holds_readers_back,
    the_first_open_transaction_holds_back_what_others_commit,
    two_partitions_are_decided_together_with_a_marker_each,
    a_producer_goes_on_after_commit_and_abort,
    initializing_an_id_aborts_what_it_left_open,
    whoever_held_the_id_before_is_fenced,
    offsets_are_not_stable_until_they_are_decided,
    aborted_offsets_leave_those_before,
    offsets_alone_are_a_transaction,
    initializing_an_id_makes_its_offsets_stable_again,
    a_generation_that_is_over_commits_no_offsets,
    a_member_that_has_left_commits_no_offsets,
    offsets_sent_in_time_are_committed_after_the_generation,
]


@contextmanager
def real(bootstrap: str, prefix: str) -> Iterator[RealSide]:
    side = RealSide(bootstrap, prefix)
    try:
        yield side
    finally:
        side.close()


@pytest.mark.kafka
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_model_says_what_kafka_says(
    scenario: Callable[[Side], Seen], kafka: str, kafka_prefix: str
) -> None:
    with real(kafka, kafka_prefix) as side:
        assert scenario(ModelSide()) == scenario(side)
