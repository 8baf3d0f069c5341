"""The fence asks in one order only, shuts out the dead, and opens nothing that lacks an event."""

from collections.abc import Callable, Collection, Generator
from typing import Any

import pytest

from streams.commit_metadata import CommitMetadata, parse
from streams.fence import (
    AwaitRead,
    FenceSlots,
    GroupSeen,
    Opening,
    ReadEnds,
    ReadGroup,
    ReadStable,
    fence,
)
from streams.memory_stream_index import MemoryStreamIndex
from streams.records import EventRecord
from streams.turn import Place

HERE, THERE = ("pipeline", 0), ("pipeline", 1)
PLACES = (HERE, THERE)
OWN = "w-0"
NEVER = CommitMetadata()


def by(writer: str, last: str = "") -> CommitMetadata:
    return CommitMetadata(writer, "http://127.0.0.1:8000", last)


class Script:
    """Answers the fence's actions in turn and keeps what it asked."""

    def __init__(
        self,
        index: MemoryStreamIndex | None = None,
        repairable: Collection[str] = (),
        lacking: Callable[[Place], str] = lambda _: "",
    ) -> None:
        self.steps: Generator[Any, Any, Opening] = fence(
            PLACES, OWN, index or MemoryStreamIndex(), repairable, lacking
        )
        self.asked: list[Any] = [next(self.steps)]
        self.opening: Opening | None = None

    def says(self, result: Any) -> "Script":
        try:
            self.asked.append(self.steps.send(result))
        except StopIteration as done:
            self.opening = done.value
        return self

    def opens(self, stable: dict[Place, tuple[int, CommitMetadata]]) -> Opening:
        """From the stable offsets to the end."""
        self.says(stable).says({HERE: 10, THERE: 5}).says(None)
        if self.opening is None:
            # Something is lacking: it looks again.
            self.says({HERE: 12, THERE: 5}).says(None)
        assert self.opening is not None
        return self.opening


def seen(here: CommitMetadata, *members: str, there: CommitMetadata = NEVER) -> GroupSeen:
    return GroupSeen({HERE: here, THERE: there}, members)


def test_order_stable_offsets_before_ends_and_ends_before_reading() -> None:
    script = Script().says(seen(NEVER))
    script.opens({HERE: (3, NEVER), THERE: (0, NEVER)})
    assert script.asked == [
        ReadGroup(PLACES),
        ReadStable(PLACES),
        ReadEnds(PLACES),
        AwaitRead({HERE: 10, THERE: 5}),
    ]
    assert script.opening == Opening({HERE: 3, THERE: 0}, {HERE: "", THERE: ""}, {})


def test_a_dead_writer_is_shut_out_before_offsets_are_trusted() -> None:
    script = Script().says(seen(by("w-1"), OWN)).says(None)
    assert script.asked[1:] == [FenceSlots(frozenset({"w-1"})), ReadStable(PLACES)]


@pytest.mark.parametrize("writer", [OWN, "w-1", ""])
def test_the_own_slot_members_and_nobody_are_never_shut_out(writer: str) -> None:
    script = Script().says(seen(by(writer), OWN, "w-1"))
    assert script.asked[1:] == [ReadStable(PLACES)]


def test_a_pending_transaction_makes_it_look_again_but_shut_out_once_only() -> None:
    dead = seen(by("w-1"), OWN, there=by("w-2"))
    script = Script().says(dead).says(None).says(None).says(dead).says(None)
    # meanwhile another one died
    script.says(seen(by("w-3"), OWN, there=by("w-2")))
    assert script.asked == [
        ReadGroup(PLACES),
        FenceSlots(frozenset({"w-1", "w-2"})),
        ReadStable(PLACES),
        ReadGroup(PLACES),
        ReadStable(PLACES),
        ReadGroup(PLACES),
        FenceSlots(frozenset({"w-3"})),
    ]


def index_with(aggregate_id: str, versions: int) -> MemoryStreamIndex:
    index = MemoryStreamIndex()
    index.append(
        [EventRecord("pipeline", aggregate_id, v, 0, v, 0, b"", {}) for v in range(1, versions + 1)]
    )
    return index


@pytest.mark.parametrize(
    ("last", "sound"),
    [
        ("", True),
        ("a#b#000000000002", True),
        ("a#b#000000000001", True),
        ("a#b#000000000003", False),
        ("other#000000000001", False),
        ("no key", False),
    ],
)
def test_a_place_that_lacks_the_event_of_its_last_commit_stays_closed(
    last: str, sound: bool
) -> None:
    script = Script(index_with("a#b", 2)).says(seen(NEVER))
    opening = script.opens({HERE: (7, by("w-1", last)), THERE: (1, NEVER)})
    assert opening.offsets == ({HERE: 7, THERE: 1} if sound else {THERE: 1})
    assert opening.last_keys == ({HERE: last, THERE: ""} if sound else {THERE: ""})
    assert opening.broken == ({} if sound else {HERE: last})


@pytest.mark.parametrize(
    "text", [None, "", "null", "[1]", "7", "no json", '"text"', '{"id": null}', "\ud800"]
)
def test_metadata_that_nobody_of_ours_wrote_names_no_event(text: str | None) -> None:
    assert parse(text).last_event_key == ""


def test_metadata_comes_back_as_it_was_written() -> None:
    metadata = CommitMetadata("w-1", "http://127.0.0.1:1", "ä#000000000001")
    assert parse(metadata.text()) == metadata


def test_a_missing_event_that_the_lane_still_holds_keeps_its_place_open() -> None:
    lost = "a#b#000000000003"
    script = Script(index_with("a#b", 2), repairable=[lost]).says(seen(NEVER))
    opening = script.opens({HERE: (7, by("w-1", lost)), THERE: (1, NEVER)})
    assert opening.broken == {}
    assert opening.offsets == {HERE: 7, THERE: 1}


def test_a_place_whose_log_lacks_an_event_stays_closed_unless_the_lane_holds_it() -> None:
    missing = {HERE: "p#000000000002", THERE: "q#000000000007"}
    script = Script(repairable=["q#000000000007"], lacking=lambda place: missing.get(place, ""))
    opening = script.says(seen(NEVER)).opens({HERE: (4, NEVER), THERE: (2, NEVER)})
    assert opening.broken == {HERE: "p#000000000002"}
    assert set(opening.offsets) == {THERE}


def test_what_is_lacking_only_for_a_moment_is_read_on_to() -> None:
    """Another generation may have written meanwhile, of which only a part was read."""
    told = iter(["p#000000000002", "q#000000000003", "", "q#000000000004"])
    script = Script(lacking=lambda _: next(told)).says(seen(NEVER))
    opening = script.opens({HERE: (4, NEVER), THERE: (2, NEVER)})
    assert script.asked[-1] == AwaitRead({HERE: 12, THERE: 5})
    assert (opening.broken, set(opening.offsets)) == ({}, {HERE, THERE})
