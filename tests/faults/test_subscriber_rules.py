"""What a subscriber saw is held against the log: planted errors are found, oddities are not."""

from collections.abc import Sequence

import pytest

from tests.faults import subscriber_rules
from tests.faults.logged import Dump, LoggedEvent, Place
from tests.faults.report import Report
from tests.faults.resources import Bounds, Watch

PLACE: Place = ("pipeline", 0)
Seen = Sequence[tuple[int, str, int]]
LOG: Seen = [(0, "p", 1), (1, "q", 1), (3, "p", 2), (4, "p", 3)]


def broken(seen: Seen, log: Seen = LOG) -> set[str]:
    """The rules that are broken where a subscriber saw this of that log."""
    events = [
        LoggedEvent(
            context="pipeline",
            partition=0,
            offset=offset,
            aggregate=aggregate,
            version=version,
            type="",
            source="",
            command_id="",
            hash="",
            index=0,
            count=1,
            digest="",
        )
        for offset, aggregate, version in log
    ]
    report = Report()
    subscriber_rules.check({PLACE: seen}, Dump(partitions=1, events=events, answers=()), report)
    return report.rules


def test_whoever_sees_the_log_sees_nothing_wrong() -> None:
    assert broken(LOG) == set()


@pytest.mark.parametrize(
    ("seen", "rule"),
    [
        ([*LOG, (5, "p", 4)], "aborted-event"),
        ([LOG[0], *LOG[2:]], "subscriber-missed"),
        ([LOG[1], LOG[0], *LOG[2:]], "subscriber-order"),
        ([*LOG, LOG[3]], "subscriber-order"),
    ],
    ids=["aborted", "missed", "backwards", "twice"],
)
def test_a_planted_error_is_found(seen: Seen, rule: str) -> None:
    assert rule in broken(seen)


def test_a_gap_that_never_closes_is_found() -> None:
    gap = [(0, "p", 1), (1, "p", 3)]
    assert broken(gap, gap) == {"subscriber-order"}


def test_an_event_written_again_behind_its_follower_closes_the_gap() -> None:
    repaired = [(0, "p", 1), (1, "p", 3), (2, "p", 2)]
    assert broken(repaired, repaired) == set()


def test_the_older_of_two_copies_may_be_compacted_away() -> None:
    seen = [(0, "p", 1), (1, "p", 1)]
    assert broken(seen, [(1, "p", 1)]) == set()


def test_more_than_is_allowed_of_a_worker_is_found() -> None:
    watch = Watch(list, Bounds(threads=30))
    watch.most |= {"threads": 31}
    report = Report()
    watch.check(report)
    assert report.rules == {"resources"}
