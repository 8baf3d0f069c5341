"""What must hold of what a subscriber saw while it happened.

offsets only grow · nothing was seen that was aborted · nothing was missed · versions close up
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from tests.faults.logged import Dump, Place
from tests.faults.report import Report

Event = tuple[str, int]
"""(aggregate, version)."""


def check(seen: Mapping[Place, Sequence[tuple[int, str, int]]], dump: Dump, report: Report) -> None:
    """Compare what was seen with what stands in the log."""
    logged: dict[Place, dict[int, Event]] = defaultdict(dict)
    for event in dump.events:
        logged[event.context, event.partition][event.offset] = event.aggregate, event.version
    for place, events in seen.items():
        offsets = [offset for offset, _, _ in events]
        if any(later <= earlier for earlier, later in pairwise(offsets)):
            report.violate("subscriber-order", f"{place}: offsets do not only grow")
        _check_equal(place, events, logged[place], report)
        _check_versions(place, events, report)
    report.counts["seen_by_subscriber"] = sum(map(len, seen.values()))


def _check_equal(
    place: Place,
    events: Iterable[tuple[int, str, int]],
    logged: Mapping[int, Event],
    report: Report,
) -> None:
    left = dict(logged)
    # The older of two copies may have been compacted away since.
    there = set(logged.values())
    for offset, *event in events:
        found = left.pop(offset, None)
        if found is None and tuple(event) not in there:
            report.violate("aborted-event", f"{place}@{offset} {event} was seen, yet is not there")
    for offset, missed in left.items():
        report.violate("subscriber-missed", f"{place}@{offset} {missed} was never seen")


def _check_versions(place: Place, events: Iterable[tuple[int, str, int]], report: Report) -> None:
    last: dict[str, int] = defaultdict(int)
    held: set[Event] = set()
    for _, aggregate, version in events:
        if version <= last[aggregate]:
            continue
        held.add((aggregate, version))
        while (aggregate, last[aggregate] + 1) in held:
            held.discard((aggregate, last[aggregate] + 1))
            last[aggregate] += 1
    for aggregate, version in held:
        report.violate("subscriber-order", f"{place}: {aggregate}#{version} stays behind a gap")
