"""What must hold of the event log alone.

home partition · versions 1..n, each once · the events of a command all or none · one content per id
"""

from collections import defaultdict
from collections.abc import Sequence

from streams.topics import partition_of
from tests.faults.history import Identity
from tests.faults.logged import Dump, LoggedEvent
from tests.faults.report import Report

MAX_HELD = 1_000
"""Events that may wait for their predecessors; a repair writes an event behind its followers."""

Stream = tuple[str, str]
"""(context, aggregate id)."""


def streams(dump: Dump, report: Report) -> dict[Stream, list[LoggedEvent]]:
    """Each aggregate's events by version; what breaks that order goes into the report."""
    found: dict[Stream, list[LoggedEvent]] = defaultdict(list)
    held: dict[tuple[Stream, int], LoggedEvent] = {}
    for event in dump.events:
        stream = event.context, event.aggregate
        home = partition_of(event.aggregate, dump.partitions)
        if event.partition != home:
            report.violate("home-partition", f"{_at(event)} belongs on partition {home}")
        taken = found[stream]
        if event.version <= len(taken):
            _again(taken[event.version - 1], event, report)
        elif event.version > len(taken) + 1:
            _hold(held, stream, event, report)
        else:
            taken.append(event)
            while (follower := held.pop((stream, len(taken) + 1), None)) is not None:
                taken.append(follower)
    for event in held.values():
        report.violate("versions", f"{_at(event)} stands behind a gap that never closed")
    report.counts["events"] = sum(map(len, found.values()))
    report.counts["aggregates"] = len(found)
    return found


def _again(first: LoggedEvent, event: LoggedEvent, report: Report) -> None:
    if event.digest == first.digest:
        report.counts["republished"] += 1
    else:
        report.violate("version-once", f"{_at(event)} differs from {_at(first)}")


def _hold(
    held: dict[tuple[Stream, int], LoggedEvent],
    stream: Stream,
    event: LoggedEvent,
    report: Report,
) -> None:
    report.counts["out_of_order"] += 1
    first = held.setdefault((stream, event.version), event)
    if first is not event:
        _again(first, event, report)
    if len(held) > MAX_HELD:
        report.violate("versions", f"{len(held)} events wait for their predecessors")


def commands(
    by_stream: dict[Stream, list[LoggedEvent]], report: Report
) -> dict[Identity, list[LoggedEvent]]:
    """The events of each command, by version; torn or repeated commands go into the report."""
    found: dict[Identity, list[LoggedEvent]] = defaultdict(list)
    for events in by_stream.values():
        for event in events:
            found[event.identity].append(event)
    for identity, events in found.items():
        _check_whole(identity, events, report)
    return found


def _check_whole(identity: Identity, events: Sequence[LoggedEvent], report: Report) -> None:
    indexes = [event.index for event in events]
    if len(set(indexes)) < len(indexes):
        report.violate("effect-once", f"{identity} has events {indexes}")
    elif any(e.count != len(events) for e in events) or sorted(indexes) != [*range(len(events))]:
        counts = {event.count for event in events}
        report.violate("whole-commands", f"{identity} has events {sorted(indexes)} of {counts}")
    elif [e.version - e.index for e in events] != [events[0].version] * len(events):
        versions = [event.version for event in events]
        report.violate("whole-commands", f"{identity} is scattered over versions {versions}")
    if len({event.hash for event in events}) > 1:
        report.violate("one-content", f"{identity} took effect with two contents")


def _at(event: LoggedEvent) -> str:
    place = f"{event.context}/{event.partition}@{event.offset}"
    return f"{event.type} {event.aggregate}#{event.version} at {place}"
