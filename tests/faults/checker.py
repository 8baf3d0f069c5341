"""The offline checker: a run's history against everything on the topics, in linear time.

history + dump ──► log rules ──► execution rules ──► command rules ──► Report
"""

from collections.abc import Sequence

from tests.faults import command_rules, execution_rules, log_rules
from tests.faults.history import Operation
from tests.faults.report import Report
from tests.faults.topic_dump import Dump


def check(operations: Sequence[Operation], dump: Dump, *, dead: int = 0) -> Report:
    """Judge a run after its end; `dead` = dead letters that were meant to be."""
    report = Report()
    by_stream = log_rules.streams(dump, report)
    for (context, _), events in by_stream.items():
        if context == "execution":
            execution_rules.check(events, report)
    command_rules.check(operations, log_rules.commands(by_stream, report), dump, report)
    _check_ends(dump, report)
    if dump.dead != dead:
        report.violate("dead-letters", f"{dump.dead} dead letters; {dead} were meant to be")
    report.counts["aborted_events"] = len(dump.aborted)
    return report


def _check_ends(dump: Dump, report: Report) -> None:
    for place, end in dump.ends.items():
        committed = dump.committed.get(place, 0)
        if committed < end:
            what = f"commands of {place} are committed up to {committed} of {end}"
            report.violate("offsets", what)
    for what in dump.stuck:
        report.violate("open-transaction", what)
