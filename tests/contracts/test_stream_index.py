"""What every stream index promises, whatever keeps it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from streams.answers import ACCEPTED, REFUSED, Answer
from streams.lmdb_stream_index import LmdbStreamIndex
from streams.memory_stream_index import MemoryStreamIndex
from streams.records import EventRecord, Identity
from streams.snapshots import Snapshot, snapshots_place
from streams.stream_index import HOUR_MS, WINDOW_MS, StreamIndex
from streams.topics import partition_of

PARTITIONS = 2


def home(aggregate_id: str) -> int:
    return partition_of(aggregate_id, PARTITIONS)


def event(
    version: int,
    aggregate_id: str = "a",
    *,
    part: str = "0/1",
    at_ms: int = 0,
    context: str = "pipeline",
    kind: str = "",
) -> EventRecord:
    """`part` = its number among its command's events / their count; one command `c` per count."""
    index, count = part.split("/")
    headers = {
        "ce_id": f"{aggregate_id}{version}".encode(),
        "ce_type": f"flexcore.{context}.{kind}".encode(),
        "ce_commandid": f"c{version - int(index)}".encode(),
        "ce_commandhash": b"h",
        "ce_txnindex": index.encode(),
        "ce_txncount": count.encode(),
    }
    offset = 100 + version
    place = home(aggregate_id), offset
    return EventRecord(context, aggregate_id, version, *place, at_ms, b"v", headers)


def run(version: int, execution_id: str, kind: str = "PipelineStepScheduled") -> EventRecord:
    return event(version, execution_id, context="execution", kind=kind)


def snapshot(version: int, aggregate_id: str = "a", value: bytes | None = b"s") -> Snapshot:
    told = f"{aggregate_id}{version}", "h", "s"
    return Snapshot("pipeline", aggregate_id, version, home(aggregate_id), version, value, *told)


RUNS = [f"run{number}" for number in range(20)]
HERE = [execution_id for execution_id in RUNS if home(execution_id) == 0]
THERE = [execution_id for execution_id in RUNS if home(execution_id) == 1]


def identity(command_id: str, aggregate_id: str = "a") -> Identity:
    return Identity("pipeline", aggregate_id, command_id)


def refusal(command_id: str, code: str = "pipeline.not_found") -> Answer:
    return Answer(identity(command_id), "h", REFUSED, error_code=code, error_message="ä")


class StreamIndexContract(ABC):
    """Inherit it and make an empty index."""

    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[StreamIndex]:
        index = self.empty(tmp_path)
        yield index
        if isinstance(index, LmdbStreamIndex):
            index.close()

    @abstractmethod
    def empty(self, folder: Path) -> StreamIndex: ...

    # ── events ───────────────────────────────────────────────────────────────────────────

    def test_nothing_is_known_at_first(self, index: StreamIndex) -> None:
        assert index.position("pipeline", 0) == 0
        assert index.last_version("pipeline", "a") == 0
        assert index.event("pipeline", "a", 1) is None
        assert list(index.events("pipeline", "a")) == []
        assert index.answer(identity("c1")) is None
        assert list(index.active(0)) == []

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

    def test_versions_that_no_index_has_are_no_mistake(self, index: StreamIndex) -> None:
        index.append([event(1)])
        assert index.event("pipeline", "a", 10**18) is None
        assert list(index.events("pipeline", "a", 10**18)) == []
        assert [e.version for e in index.events("pipeline", "a", 1, 10**18)] == [1]

    def test_headers_come_back_whatever_their_names(self, index: StreamIndex) -> None:
        odd = [event(1)._replace(headers={}), event(2)._replace(headers={"ä": b"", "b": b"\xff"})]
        index.append(odd)
        assert list(index.events("pipeline", "a")) == odd

    # ── aggregates ───────────────────────────────────────────────────────────────────────

    def test_the_aggregates_of_a_context_are_listed_by_partition(self, index: StreamIndex) -> None:
        assert list(index.aggregates("pipeline", 0)) == []
        names = ["a", "b", "zz", "a-long-name", "pipeline", *RUNS]
        for name in names:
            index.append([event(1, name), event(2, name)])
            if isinstance(index, LmdbStreamIndex) and name == "a-long-name":
                index.advance("pipeline", home(name), 1)
                index.flush()
        for name in ("c", "run", *RUNS[:5]):
            index.append([run(version, name) for version in range(1, 40)])
        for number in range(PARTITIONS):
            here = [name for name in names if home(name) == number]
            assert sorted(index.aggregates("pipeline", number)) == sorted(here)
            runs = [name for name in ("c", "run", *RUNS[:5]) if home(name) == number]
            assert sorted(index.aggregates("execution", number)) == sorted(runs)
        assert list(index.aggregates("other", 0)) == []

    def test_aggregates_that_were_written_to_the_disk_are_listed(self, index: StreamIndex) -> None:
        names = [f"{'p' * length}{number}" for length in (0, 1, 7, 62) for number in (1, 2)]
        for name in names:
            index.append([event(version, name) for version in range(1, 20)])
            index.append([run(1, f"{name}-run")])
        for context, number in (
            (c, n) for c in ("pipeline", "execution") for n in range(PARTITIONS)
        ):
            index.advance(context, number, 1_000)
        if isinstance(index, LmdbStreamIndex):
            index.flush()
        found = [
            name for number in range(PARTITIONS) for name in index.aggregates("pipeline", number)
        ]
        assert sorted(found) == sorted(names)

    # ── later copies ─────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("version", [1, 2])
    @pytest.mark.parametrize("value", [b"redacted", None])
    def test_a_later_copy_stands_in_the_place_of_an_event(
        self, index: StreamIndex, version: int, value: bytes | None
    ) -> None:
        index.append([event(1), event(2)])
        copy = event(version)._replace(value=value, offset=900)
        index.replace(copy)
        assert index.event("pipeline", "a", version) == copy
        assert index.last_version("pipeline", "a") == 2
        assert [e.value for e in index.events("pipeline", "a")].count(value) == 1

    def test_a_copy_keeps_its_commands_answer_and_a_null_has_none(self, index: StreamIndex) -> None:
        index.append([event(1)])
        index.replace(event(1)._replace(value=b"", offset=900))
        answer = index.answer(identity("c1"))
        assert answer is not None
        assert (answer.versions, answer.position) == ((1,), f"pipeline/{home('a')}@900")
        index.replace(event(1)._replace(value=None, headers={}))
        assert index.answer(identity("c1")) is None

    def test_events_go_on_after_a_copy(self, index: StreamIndex) -> None:
        index.append([event(1)])
        index.replace(event(1)._replace(value=None, headers={}))
        index.append([event(2), event(3)])
        assert [e.version for e in index.events("pipeline", "a")] == [1, 2, 3]

    # ── snapshots ────────────────────────────────────────────────────────────────────────

    def test_the_last_snapshot_of_an_aggregate_is_kept(self, index: StreamIndex) -> None:
        assert index.snapshot("pipeline", "a") is None
        index.keep(snapshot(100))
        index.keep(snapshot(200))
        index.keep(snapshot(100, "b"))
        assert index.snapshot("pipeline", "a") == snapshot(200)
        assert index.snapshot("pipeline", "b") == snapshot(100, "b")
        assert index.snapshot("execution", "a") is None

    def test_a_deleted_snapshot_is_gone_until_the_next(self, index: StreamIndex) -> None:
        index.keep(snapshot(100))
        index.keep(snapshot(0, value=None))
        assert index.snapshot("pipeline", "a") is None
        index.keep(snapshot(200))
        assert index.snapshot("pipeline", "a") == snapshot(200)

    def test_of_a_distrusted_aggregate_no_snapshot_is_kept_any_more(
        self, index: StreamIndex
    ) -> None:
        index.keep(snapshot(100))
        index.distrust("pipeline", "a")
        assert index.snapshot("pipeline", "a") is None
        for later in (snapshot(200), snapshot(0, value=None), snapshot(300)):
            index.keep(later)
            assert index.snapshot("pipeline", "a") is None
        index.distrust("pipeline", "never seen")
        found = [index.distrusted("pipeline", name) for name in ("a", "never seen", "b")]
        assert found == [True, True, False]

    # ── active executions ────────────────────────────────────────────────────────────────

    def test_executions_are_active_until_they_end(self, index: StreamIndex) -> None:
        first, second, third = HERE[:3]
        index.append([run(1, first), run(1, second), run(1, third)])
        index.append([run(2, first), run(2, second, "ExecutionCompleted")])
        index.append([run(2, third, "ExecutionFailed"), run(1, HERE[3])])
        assert sorted(index.active(0)) == sorted([first, HERE[3]])

    def test_executions_stand_in_their_partition(self, index: StreamIndex) -> None:
        index.append([run(1, HERE[0])])
        index.append([run(1, THERE[0])])
        assert (list(index.active(0)), list(index.active(1))) == ([HERE[0]], [THERE[0]])

    def test_pipelines_have_no_end_and_are_not_active(self, index: StreamIndex) -> None:
        index.append([event(1, HERE[0])])
        assert list(index.active(0)) == []

    def test_a_pruned_execution_is_not_active(self, index: StreamIndex) -> None:
        index.append([run(1, HERE[0]), run(2, HERE[0])])
        index.replace(run(1, HERE[0])._replace(value=None, headers={}))
        assert list(index.active(0)) == [HERE[0]]
        index.replace(run(2, HERE[0])._replace(value=None, headers={}))
        assert list(index.active(0)) == []

    # ── the rest of reading ──────────────────────────────────────────────────────────────

    def test_contexts_do_not_see_each_other(self, index: StreamIndex) -> None:
        index.append([event(1)])
        assert index.last_version("execution", "a") == 0
        assert index.answer(Identity("execution", "a", "c1")) is None

    def test_ids_that_are_beginnings_of_each_other_are_kept_apart(self, index: StreamIndex) -> None:
        ids = ["a", "a#", "a#000000000001", "aa", "t~a", "ä", "a" * 1_000, "a" * 1_001, "a\0", ""]
        for number, aggregate_id in enumerate(ids, start=1):
            for version in range(1, number + 1):
                index.append([event(version, aggregate_id)])
        for number, aggregate_id in enumerate(ids, start=1):
            assert index.last_version("pipeline", aggregate_id) == number
            assert len(index.events("pipeline", aggregate_id)) == number

    # ── positions ────────────────────────────────────────────────────────────────────────

    def test_a_position_never_goes_back(self, index: StreamIndex) -> None:
        index.advance("pipeline", 0, 7)
        index.advance("pipeline", 0, 3)
        index.advance("outcomes", 0, 1)
        assert index.position("pipeline", 0) == 7
        assert index.position("outcomes", 0) == 1
        assert index.position("pipeline", 1) == 0

    def test_reading_resumes_before_what_still_waits(self, index: StreamIndex) -> None:
        assert index.resume("pipeline", 0) == 0
        index.advance("pipeline", 0, 7)
        assert index.resume("pipeline", 0) == 7
        index.advance("pipeline", 0, 9, 5)
        assert (index.position("pipeline", 0), index.resume("pipeline", 0)) == (9, 5)
        index.advance("pipeline", 0, 6)
        assert (index.position("pipeline", 0), index.resume("pipeline", 0)) == (9, 5)
        index.advance("pipeline", 0, 9)
        assert index.resume("pipeline", 0) == 9

    # ── answers ──────────────────────────────────────────────────────────────────────────

    def test_a_commands_last_event_is_its_answer(self, index: StreamIndex) -> None:
        index.append([event(1, part="0/2")])
        assert index.answer(identity("c1")) is None
        index.append([event(2, part="1/2")])
        answer = Answer(identity("c1"), "h", ACCEPTED, (1, 2), f"pipeline/{home('a')}@102")
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

    def test_what_comes_too_late_for_the_window_is_not_kept(self, index: StreamIndex) -> None:
        index.expire(WINDOW_MS + 2 * HOUR_MS)
        index.append([event(1, at_ms=HOUR_MS)])
        index.remember(refusal("r"), HOUR_MS)
        index.remember(refusal("s"), 2 * HOUR_MS)
        assert index.answer(identity("c1")) is None
        assert index.answer(identity("r")) is None
        assert index.answer(identity("s")) == refusal("s")


class TestMemoryStreamIndex(StreamIndexContract):
    def empty(self, folder: Path) -> StreamIndex:
        return MemoryStreamIndex()


class TestPendingLmdbStreamIndex(StreamIndexContract):
    """Nothing reaches LMDB."""

    def empty(self, folder: Path) -> StreamIndex:
        return LmdbStreamIndex(folder, partitions=PARTITIONS, log_id="a", write_every_s=3_600)


class _AtOnce(LmdbStreamIndex):
    """Everything reaches LMDB before the call returns."""

    def append(self, events: Sequence[EventRecord]) -> None:
        for event in events:
            super().append([event])
            self._settle(event.context, event.partition)

    def replace(self, event: EventRecord) -> None:
        super().replace(event)
        self._settle(event.context, event.partition)

    def remember(self, answer: Answer, at_ms: int) -> None:
        super().remember(answer, at_ms)
        self._settle("outcomes", home(answer.identity.aggregate_id))

    def keep(self, snapshot: Snapshot) -> None:
        super().keep(snapshot)
        self._settle(snapshots_place(snapshot.context), snapshot.partition)

    def distrust(self, context: str, aggregate_id: str) -> None:
        super().distrust(context, aggregate_id)
        self._settle(context, home(aggregate_id))

    def advance(
        self, context: str, partition: int, position: int, resume: int | None = None
    ) -> None:
        super().advance(context, partition, position, resume)
        self.flush()

    def _settle(self, context: str, partition: int) -> None:
        self.advance(
            context, partition, self.position(context, partition), self.resume(context, partition)
        )


class TestWrittenLmdbStreamIndex(StreamIndexContract):
    """Everything is in LMDB."""

    def empty(self, folder: Path) -> StreamIndex:
        return _AtOnce(folder, partitions=PARTITIONS, log_id="a", write_every_s=3_600)
