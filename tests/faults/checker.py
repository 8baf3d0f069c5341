"""The offline checker: a run's history against everything on the topics, in linear time.

history + dump ──► log rules ──► execution rules ──► decisions ──► command rules ──► ends ──► Report
"""

from collections.abc import Sequence

from tests.faults import command_rules, decision_rules, end_rules, execution_rules, log_rules
from tests.faults.history import Operation
from tests.faults.logged import Dump
from tests.faults.report import Report


def check(operations: Sequence[Operation], dump: Dump, *, torn: bool = False) -> Report:
    """Judge a run after its end; `torn`: a late EndTxn decided a transaction that was not its own."""
    report = Report()
    by_stream = log_rules.streams(dump, report)
    for (context, _), events in by_stream.items():
        if context == "execution":
            execution_rules.check(events, report)
    by_command = log_rules.commands(by_stream, report)
    decision_rules.check(by_stream, dump, report)
    command_rules.check(operations, by_command, dump, report)
    end_rules.check(by_command, dump, report, torn=torn)
    report.counts["aborted_events"] = len(dump.aborted)
    return report
