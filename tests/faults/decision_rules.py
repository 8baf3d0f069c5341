"""What was decided is what the pure decider decides: each command again, over the events before it.

initial ─► evolve, evolve … ─► state ─► decide(command) == the events that stand in the log
"""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.contexts import CONTEXTS
from domain.decider import Facts
from domain.errors import FlexCoreError
from tests.faults.history import Identity
from tests.faults.log_rules import Stream
from tests.faults.logged import Dump, LoggedEvent
from tests.faults.report import Report

_PIPELINE = CONTEXTS["pipeline"].decider
"""Executions are decided with another aggregate's state beside; execution_rules has their promises."""


def check(by_stream: Mapping[Stream, Sequence[LoggedEvent]], dump: Dump, report: Report) -> None:
    """Decide the commands of every pipeline again, in the order of its events."""
    commands = {(one.identity, one.hash): one.body for one in dump.commands if one.body}
    for (context, _), events in by_stream.items():
        if context == "pipeline":
            _check(events, commands, report)


def _check(
    events: Sequence[LoggedEvent],
    commands: Mapping[tuple[Identity, str], Any],
    report: Report,
) -> None:
    state, at = _PIPELINE.initial, 0
    while at < len(events):
        first = events[at]
        made = [event.body for event in events[at : at + max(1, first.count)]]
        command = commands.get((first.identity, first.hash))
        if command is not None:
            _decide(first, command, state, made, report)
        state = _PIPELINE.fold(made, state)
        at += len(made)


def _decide(
    first: LoggedEvent, command: Any, state: Any, made: Sequence[Any], report: Report
) -> None:
    facts = Facts(at=first.body.at, actor=first.body.by)
    what = f"{first.identity} at version {first.version}"
    try:
        again = _PIPELINE.decide(command, state, facts)
    except FlexCoreError as error:
        report.violate("decided", f"{what}: {type(command).__name__} is refused: {error.code}")
        return
    report.counts["decided_again"] += 1
    if list(again) != list(made):
        report.violate("decided", f"{what}: the decider makes {again!r}, the log has {made!r}")
