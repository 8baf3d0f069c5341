"""The reader rule, gaps, conflicts, and which events call for an answer."""

from dataclasses import dataclass, field

import pytest

from streams.answers import ACCEPTED, REFUSED, UNAVAILABLE, Answer
from streams.memory_stream_index import MemoryStreamIndex
from streams.records import EventRecord, Identity
from streams.snapshots import Snapshot, snapshots_place
from streams.tailer import ENGINE, Tailer, due

HERE, THERE = ("pipeline", 0), ("pipeline", 1)


def event(
    version: int,
    offset: int,
    aggregate_id: str = "a",
    *,
    event_id: str = "",
    part: str = "0/1",
    source: str = "flexcore/worker",
    value: bytes | None = b"body",
) -> EventRecord:
    """Event `version` at `offset`; `part` = its number among its command's events / their count."""
    index, count = part.split("/")
    headers = {
        "ce_id": (event_id or f"{aggregate_id}{version}").encode(),
        "ce_source": source.encode(),
        "ce_commandid": f"command of {version}".encode(),
        "ce_txnindex": index.encode(),
        "ce_txncount": count.encode(),
    }
    found = {} if value is None else headers
    return EventRecord("pipeline", aggregate_id, version, 0, offset, 0, value, found)


@dataclass
class Script:
    """A tailer that owns HERE from offset 0, unless told otherwise."""

    index: MemoryStreamIndex = field(default_factory=MemoryStreamIndex)
    answered: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tailer = Tailer(self.index)
        self.tailer.own({HERE: 0})

    def reads(self, *events: EventRecord, position: int | None = None) -> "Script":
        end = position if position is not None else events[-1].offset + 1
        answers = self.tailer.on_events(HERE, events, end)
        self.answered += [f"{a.identity.aggregate_id}{a.versions[-1]}" for a in answers]
        return self

    def versions(self, aggregate_id: str = "a") -> list[tuple[int, int]]:
        """(version, offset) of what the index holds."""
        return [(e.version, e.offset) for e in self.index.events("pipeline", aggregate_id)]


# ── the reader rule ──────────────────────────────────────────────────────────────────────


def test_the_next_version_is_taken_and_the_position_moves_on() -> None:
    script = Script().reads(event(1, 0), event(2, 1)).reads(event(3, 4), position=9)
    assert script.versions() == [(1, 0), (2, 1), (3, 4)]
    assert script.index.position(*HERE) == 9


def test_what_is_known_is_dropped_in_the_same_batch_and_later() -> None:
    script = Script().reads(event(1, 0), event(1, 1)).reads(event(1, 2))
    assert script.versions() == [(1, 0)]
    assert (script.answered, script.tailer.conflicts) == (["a1"], 0)


def test_aggregates_do_not_wait_for_each_other() -> None:
    script = Script().reads(event(2, 0, "a"), event(1, 1, "b"))
    assert script.versions("b") == [(1, 1)]
    assert script.answered == ["b1"]


@pytest.mark.parametrize("batches", [1, 2, 4])
def test_an_event_that_moved_behind_its_successors_puts_them_in_order(batches: int) -> None:
    log = [event(1, 0), event(3, 5), event(4, 6), event(2, 9)]
    script, size = Script(), len(log) // batches
    for start in range(0, len(log), size):
        script.reads(*log[start : start + size])
    assert script.versions() == [(1, 0), (2, 9), (3, 5), (4, 6)]
    assert script.answered == ["a1", "a2", "a3", "a4"]
    assert script.tailer.wanted_ends() == set()


def test_a_second_hole_keeps_what_stands_behind_it_waiting() -> None:
    script = Script().reads(event(5, 0), event(3, 1), event(1, 2), event(2, 3))
    assert [version for version, _ in script.versions()] == [1, 2, 3]
    script.reads(event(4, 4))
    assert [version for version, _ in script.versions()] == [1, 2, 3, 4, 5]


def test_a_null_counts_as_its_version() -> None:
    script = Script().reads(event(1, 0, value=None), event(2, 1))
    assert script.versions() == [(1, 0), (2, 1)]
    assert script.answered == ["a2"]


# ── conflicts ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "log",
    [
        [[event(1, 0)], [event(1, 1, event_id="other")]],
        [[event(1, 0), event(1, 1, event_id="other")]],
        [[event(2, 0)], [event(2, 1, event_id="other")]],
    ],
    ids=["indexed", "same batch", "held"],
)
def test_another_event_of_the_same_version_is_a_conflict_and_the_first_one_stays(
    log: list[list[EventRecord]],
) -> None:
    script = Script()
    for batch in log:
        script.reads(*batch)
    assert script.tailer.conflicts == 1
    script.reads(event(1, 9))
    assert all(record.event_id != "other" for record in script.index.events("pipeline", "a"))


def test_redaction_and_pruning_are_no_conflicts() -> None:
    script = Script().reads(event(1, 0), event(2, 1))
    script.reads(event(1, 2, value=b"redacted"), event(2, 3, value=None))
    assert script.tailer.conflicts == 0


# ── gaps ─────────────────────────────────────────────────────────────────────────────────


def test_a_gap_is_a_fact_only_when_the_end_of_its_time_is_read() -> None:
    script = Script().reads(event(1, 0), event(3, 1))
    assert (script.tailer.wanted_ends(), script.tailer.gaps()) == ({HERE}, {})
    script.tailer.on_end(HERE, 10)
    script.reads(position=9)
    assert script.tailer.gaps() == {}, "no time, however long, confirms a gap"
    script.reads(position=10)
    assert script.tailer.gaps() == {HERE: "a#000000000002"}


def test_a_gap_that_is_filled_is_none() -> None:
    script = Script().reads(event(1, 0), event(3, 1))
    script.tailer.on_end(HERE, 2)
    assert script.tailer.gaps() == {HERE: "a#000000000002"}
    script.reads(event(2, 2))
    assert (script.tailer.gaps(), script.tailer.wanted_ends()) == ({}, set())


def test_each_aggregates_gap_has_an_end_of_its_own() -> None:
    script = Script().reads(event(3, 1, "a"))
    script.tailer.on_end(HERE, 5)
    script.reads(event(3, 6, "b"))
    assert script.tailer.gaps() == {HERE: "a#000000000001"}
    assert script.tailer.wanted_ends() == {HERE}
    script.tailer.on_end(HERE, 20)
    script.reads(event(1, 7, "a"), event(2, 8, "a"))
    assert script.tailer.gaps() == {}, "b's end is not read yet"
    script.reads(position=20)
    assert script.tailer.gaps() == {HERE: "b#000000000001"}


def test_an_end_that_was_looked_up_for_another_place_says_nothing() -> None:
    script = Script().reads(event(3, 1))
    script.tailer.on_end(THERE, 0)
    assert script.tailer.wanted_ends() == {HERE}


# ── answers ──────────────────────────────────────────────────────────────────────────────


def test_only_owned_places_are_answered() -> None:
    script = Script()
    script.tailer.own({THERE: 0})
    script.reads(event(1, 0))
    script.tailer.disown()
    script.reads(event(2, 1))
    assert (script.answered, script.tailer.owns(THERE)) == ([], False)
    assert [version for version, _ in script.versions()] == [1, 2], "they are indexed all the same"


def test_answers_begin_at_the_answered_offset() -> None:
    script = Script()
    script.tailer.own({HERE: 5})
    script.reads(event(1, 4), event(2, 5))
    assert script.answered == ["a2"]


def test_a_command_is_answered_by_its_last_event_only() -> None:
    script = Script().reads(event(1, 0, part="0/3"), event(2, 1, part="1/3"))
    assert script.answered == []
    script.reads(event(3, 2, part="2/3"))
    assert script.answered == ["a3"]
    answer = due(event(3, 2, part="2/3"))[0]
    assert (answer.status, answer.versions, answer.position) == (
        ACCEPTED,
        (1, 2, 3),
        "pipeline/0@2",
    )


def test_the_engine_is_never_answered() -> None:
    assert Script().reads(event(1, 0, source=ENGINE)).answered == []


def test_an_event_is_indexed_before_its_answer_is_given() -> None:
    script = Script()
    (answer,) = script.tailer.on_events(HERE, [event(1, 0)], 1)
    assert script.index.answer(answer.identity) == answer


# ── outcomes ─────────────────────────────────────────────────────────────────────────────


def test_of_the_outcomes_only_those_are_remembered_that_no_event_tells() -> None:
    script = Script()
    answers = {
        status: Answer(Identity("pipeline", "a", name), "h", status, versions, "", code)
        for name, status, versions, code in [
            ("refused", REFUSED, (), "pipeline.not_found"),
            ("away", UNAVAILABLE, (), "owner.unavailable"),
            ("with events", ACCEPTED, (1,), ""),
        ]
    }
    reused = Answer(
        Identity("pipeline", "a", "reused"), "h", REFUSED, error_code="command.id_reused"
    )
    read = [(answer, 0) for answer in (*answers.values(), reused)]
    script.tailer.on_outcomes(read, ("outcomes", 0), 7)
    known = [answer for answer, _ in read if script.index.answer(answer.identity)]
    assert known == [answers[REFUSED]]
    assert script.index.position("outcomes", 0) == 7


def test_a_log_that_lacks_something_says_what() -> None:
    script = Script().reads(event(1, 0, part="0/3"), event(2, 1, part="1/3"))
    assert script.tailer.lacking(HERE) == "a#000000000003", "the end of a command"
    script.reads(event(3, 2, part="2/3"))
    assert script.tailer.lacking(HERE) == ""
    script.reads(event(5, 3))
    assert script.tailer.lacking(HERE) == "a#000000000004", "what stands before an event"
    assert script.tailer.lacking(THERE) == ""


# ── later copies ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", [b"redacted", None])
@pytest.mark.parametrize("batches", [1, 2])
def test_an_event_written_again_without_its_body_takes_the_place_of_the_first(
    value: bytes | None, batches: int
) -> None:
    copy = event(1, 7, value=value)
    script = Script()
    if batches == 1:
        script.reads(event(1, 0), event(2, 1), copy)
    else:
        script.reads(event(1, 0), event(2, 1)).reads(copy)
    assert script.index.event("pipeline", "a", 1) == copy
    assert (script.answered, script.tailer.conflicts) == (["a1", "a2"], 0)


def test_a_copy_that_waits_for_its_predecessor_is_the_later_one() -> None:
    script = Script().reads(event(2, 0), event(2, 1, value=b"redacted"), event(1, 2))
    assert [e.value for e in script.index.events("pipeline", "a")] == [b"body", b"redacted"]


def test_the_earlier_copy_read_again_changes_nothing() -> None:
    script = Script().reads(event(1, 0), event(1, 7, value=b"redacted"))
    script.reads(event(1, 0), position=8)
    assert [e.value for e in script.index.events("pipeline", "a")] == [b"redacted"]


# ── snapshots ────────────────────────────────────────────────────────────────────────────


def snapshot(version: int, aggregate_id: str = "a") -> Snapshot:
    return Snapshot("pipeline", aggregate_id, version, 0, version, b"state", "", "", "")


def kept(*events: EventRecord) -> Script:
    """What is left of a snapshot of each of a and b when these events were read."""
    script = Script()
    place = snapshots_place("pipeline"), 0
    script.tailer.on_snapshots([snapshot(1), snapshot(2), snapshot(1, "b")], place, 3)
    assert script.index.position(*place) == 3
    assert script.index.snapshot("pipeline", "a") == snapshot(2)
    return script.reads(*events)


@pytest.mark.parametrize(
    "events",
    [
        (event(1, 0), event(2, 1), event(1, 7, value=b"redacted")),
        (event(1, 0), event(2, 1), event(2, 7, value=None)),
        (event(2, 1), event(1, 7)),
        (event(3, 1), event(1, 2), event(2, 7)),
    ],
    ids=["redacted", "pruned", "compacted away in its first place", "one of three"],
)
def test_an_event_that_was_written_again_makes_snapshots_of_its_aggregate_worthless(
    events: tuple[EventRecord, ...],
) -> None:
    script = kept(event(1, 0, "b"), *events)
    assert script.index.snapshot("pipeline", "a") is None
    assert script.index.distrusted("pipeline", "a")
    assert script.index.snapshot("pipeline", "b") == snapshot(1, "b")


def test_an_equal_copy_is_no_reason_to_distrust_anything() -> None:
    script = kept(event(1, 0), event(2, 1), event(1, 7), event(2, 8))
    assert script.index.snapshot("pipeline", "a") == snapshot(2)


# ── a new process on a kept index ────────────────────────────────────────────────────────


def restarted(script: Script, *log: EventRecord) -> Script:
    """What a new process knows: the index, and the log read again from where it says."""
    again = Script(script.index)
    start = script.index.resume(*HERE)
    again.tailer.own({HERE: script.index.position(*HERE)})
    return again.reads(*(e for e in log if e.offset >= start))


def test_what_waited_for_its_predecessor_still_does_after_a_restart() -> None:
    early = [event(1, 0), event(3, 1), event(5, 2)]
    script = Script().reads(*early)
    assert (script.index.position(*HERE), script.index.resume(*HERE)) == (3, 1)
    again = restarted(script, *early, event(2, 3), event(4, 4))
    assert [version for version, _ in again.versions()] == [1, 2, 3, 4, 5]
    assert again.index.resume(*HERE) == 5
    assert again.answered == ["a2", "a4"]


def test_a_command_whose_last_event_did_not_come_is_still_known_after_a_restart() -> None:
    torn = [event(1, 0, part="0/2"), event(1, 1, "b")]
    script = Script().reads(*torn)
    assert script.index.resume(*HERE) == 0
    again = restarted(script, *torn)
    assert again.tailer.lacking(HERE) == "a#000000000002"
    again.reads(event(2, 2, part="1/2"))
    assert (again.tailer.lacking(HERE), again.index.resume(*HERE)) == ("", 3)
