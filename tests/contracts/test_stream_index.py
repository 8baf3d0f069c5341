"""What every stream index promises, whatever keeps it."""

from abc import ABC, abstractmethod

import pytest

from streams.answers import ACCEPTED, REFUSED, Answer
from streams.memory_stream_index import MemoryStreamIndex
from streams.records import EventRecord, Identity
from streams.stream_index import WINDOW_MS, StreamIndex

HOUR_MS = 60 * 60 * 1000
"""How much longer than the window an answer may be known."""


def event(
    version: int, aggregate_id: str = "a", *, part: str = "0/1", at_ms: int = 0, partition: int = 0
) -> EventRecord:
    """`part` = its number among its command's events / their count; one command `c` per count."""
    index, count = part.split("/")
    headers = {
        "ce_id": f"{aggregate_id}{version}".encode(),
        "ce_commandid": f"c{version - int(index)}".encode(),
        "ce_commandhash": b"h",
        "ce_txnindex": index.encode(),
        "ce_txncount": count.encode(),
    }
    offset = 100 + version
    return EventRecord("pipeline", aggregate_id, version, partition, offset, at_ms, b"v", headers)


def identity(command_id: str, aggregate_id: str = "a") -> Identity:
    return Identity("pipeline", aggregate_id, command_id)


def refusal(command_id: str, code: str = "pipeline.not_found") -> Answer:
    return Answer(identity(command_id), "h", REFUSED, error_code=code, error_message="ä")


class StreamIndexContract(ABC):
    """Inherit it and make an empty index."""

    @pytest.fixture
    def index(self) -> StreamIndex:
        return self.empty()

    @abstractmethod
    def empty(self) -> StreamIndex: ...

    # ── events ───────────────────────────────────────────────────────────────────────────

    def test_nothing_is_known_at_first(self, index: StreamIndex) -> None:
        assert index.position("pipeline", 0) == 0
        assert index.last_version("pipeline", "a") == 0
        assert index.event("pipeline", "a", 1) is None
        assert list(index.events("pipeline", "a")) == []
        assert index.answer(identity("c1")) is None
        assert list(index.aggregates("pipeline", 0)) == []

    def test_events_come_back_as_they_were_in_order(self, index: StreamIndex) -> None:
        events = [event(1), event(1, "b"), event(2), event(3)]
        index.append(events[:2])
        index.append(events[2:])
        assert list(index.events("pipeline", "a")) == [events[0], *events[2:]]
        assert index.event("pipeline", "a", 2) == events[2]
        assert index.last_version("pipeline", "a") == 3

    @pytest.mark.parametrize(
        ("from_version", "limit", "expected"),
        [
            (1, None, [1, 2, 3]),
            (0, None, [1, 2, 3]),
            (2, None, [2, 3]),
            (2, 1, [2]),
            (3, 9, [3]),
            (4, None, []),
            (1, 0, []),
        ],
    )
    def test_a_range_of_events(
        self, index: StreamIndex, from_version: int, limit: int | None, expected: list[int]
    ) -> None:
        index.append([event(1), event(2), event(3)])
        found = index.events("pipeline", "a", from_version, limit)
        assert [record.version for record in found] == expected

    @pytest.mark.parametrize("version", [-1, 0, 2])
    def test_versions_that_are_not_there(self, index: StreamIndex, version: int) -> None:
        index.append([event(1)])
        assert index.event("pipeline", "a", version) is None

    def test_a_pruned_event_counts_as_its_version(self, index: StreamIndex) -> None:
        pruned = event(1)._replace(value=None, headers={})
        index.append([pruned, event(2)])
        assert index.last_version("pipeline", "a") == 2
        assert index.event("pipeline", "a", 1) == pruned

    def test_contexts_do_not_see_each_other(self, index: StreamIndex) -> None:
        index.append([event(1)])
        assert index.last_version("execution", "a") == 0
        assert index.answer(Identity("execution", "a", "c1")) is None

    def test_aggregates_of_a_partition(self, index: StreamIndex) -> None:
        index.append([event(1), event(2), event(1, "b"), event(1, "c", partition=1)])
        assert sorted(index.aggregates("pipeline", 0)) == ["a", "b"]
        assert list(index.aggregates("pipeline", 1)) == ["c"]
        assert list(index.aggregates("execution", 0)) == []

    def test_ids_that_are_beginnings_of_each_other_are_kept_apart(self, index: StreamIndex) -> None:
        ids = ["a", "a#", "a#000000000001", "aa", "t~a", "ä"]
        index.append([event(1, aggregate_id) for aggregate_id in ids])
        assert [index.last_version("pipeline", aggregate_id) for aggregate_id in ids] == [1] * 6
        assert all(len(index.events("pipeline", aggregate_id)) == 1 for aggregate_id in ids)

    # ── positions ────────────────────────────────────────────────────────────────────────

    def test_a_position_never_goes_back(self, index: StreamIndex) -> None:
        index.advance("pipeline", 0, 7)
        index.advance("pipeline", 0, 3)
        index.advance("outcomes", 0, 1)
        assert index.position("pipeline", 0) == 7
        assert index.position("outcomes", 0) == 1
        assert index.position("pipeline", 1) == 0

    # ── answers ──────────────────────────────────────────────────────────────────────────

    def test_a_commands_last_event_is_its_answer(self, index: StreamIndex) -> None:
        index.append([event(1, part="0/2")])
        assert index.answer(identity("c1")) is None
        index.append([event(2, part="1/2")])
        answer = Answer(identity("c1"), "h", ACCEPTED, (1, 2), "pipeline/0@102")
        assert index.answer(identity("c1")) == answer

    def test_refusals_are_remembered_as_they_were(self, index: StreamIndex) -> None:
        index.remember(refusal("r"), 0)
        assert index.answer(identity("r")) == refusal("r")
        assert index.answer(identity("r", "b")) is None

    def test_the_first_answer_stays(self, index: StreamIndex) -> None:
        index.append([event(1)])
        accepted = index.answer(identity("c1"))
        index.remember(refusal("c1"), 0)
        index.remember(refusal("r"), 0)
        index.remember(refusal("r", "pipeline.not_active"), 0)
        assert index.answer(identity("c1")) == accepted
        assert index.answer(identity("r")) == refusal("r")

    # ── the window ───────────────────────────────────────────────────────────────────────

    def test_answers_are_known_for_the_window_and_events_for_ever(self, index: StreamIndex) -> None:
        index.append([event(1, at_ms=HOUR_MS)])
        index.remember(refusal("r"), HOUR_MS)
        index.expire(HOUR_MS + WINDOW_MS)
        assert index.answer(identity("c1")) is not None
        assert index.answer(identity("r")) is not None
        index.expire(HOUR_MS + WINDOW_MS + HOUR_MS)
        assert index.answer(identity("c1")) is None
        assert index.answer(identity("r")) is None
        assert index.last_version("pipeline", "a") == 1

    def test_old_answers_go_though_younger_ones_were_read_first(self, index: StreamIndex) -> None:
        # At the start one partition is read to its end before another one is begun.
        index.append([event(1, "young", at_ms=WINDOW_MS), event(1, "old", at_ms=0)])
        index.expire(WINDOW_MS + HOUR_MS)
        assert index.answer(identity("c1", "young")) is not None
        assert index.answer(identity("c1", "old")) is None

    def test_a_command_whose_events_are_hours_apart_goes_with_its_last(
        self, index: StreamIndex
    ) -> None:
        # Written again after a loss, the last one may even be the older one.
        for aggregate_id, hours in (("a", (0, 2)), ("b", (2, 0))):
            first, last = (hour * HOUR_MS for hour in hours)
            index.append([event(1, aggregate_id, part="0/2", at_ms=first)])
            index.append([event(2, aggregate_id, part="1/2", at_ms=last)])
        index.expire(WINDOW_MS + 2 * HOUR_MS)
        assert index.answer(identity("c1", "a")) is not None
        index.expire(WINDOW_MS + 4 * HOUR_MS)
        assert index.answer(identity("c1", "a")) is None
        assert index.answer(identity("c1", "b")) is None

    def test_an_identity_that_is_used_again_after_the_window_is_known_again(
        self, index: StreamIndex
    ) -> None:
        index.remember(refusal("r"), 0)
        later = 2 * WINDOW_MS
        index.expire(later)
        index.remember(refusal("r", "pipeline.not_active"), later)
        index.expire(later)
        assert index.answer(identity("r")) == refusal("r", "pipeline.not_active")


class TestMemoryStreamIndex(StreamIndexContract):
    def empty(self) -> StreamIndex:
        return MemoryStreamIndex()
