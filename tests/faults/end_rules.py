"""What must hold where a run has come to rest: offsets, dead letters, transactions.

committed == end, and nothing was passed over: each command has its events, an answer or a dead letter
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from tests.faults.history import Identity
from tests.faults.logged import Dump, LoggedEvent
from tests.faults.report import Report


def check(
    by_command: Mapping[Identity, Sequence[LoggedEvent]],
    dump: Dump,
    report: Report,
    *,
    torn: bool,
) -> None:
    """Check the ends of all topics."""
    for place, end in dump.ends.items():
        committed = dump.committed.get(place, 0)
        if committed < end:
            what = f"commands of {place} are committed up to {committed} of {end}"
            report.violate("offsets", what)
    for what in dump.stuck:
        report.violate("open-transaction", what)
    _check_passed(by_command, dump, report)
    _check_dead(dump, report, torn=torn)


def _check_passed(
    by_command: Mapping[Identity, Sequence[LoggedEvent]], dump: Dump, report: Report
) -> None:
    """No committed offset lies behind a record that nobody decided."""
    answered = {(one.context, one.aggregate, one.command_id) for one in dump.answers}
    dead = {(one.context, one.partition, one.offset) for one in dump.dead}
    for command in dump.commands:
        place = command.context, command.partition
        if command.offset >= dump.committed.get(place, 0):
            continue
        known = command.identity in by_command or command.identity in answered
        if not known and (*place, command.offset) not in dead:
            what = f"{place}@{command.offset} {command.identity} was passed over"
            report.violate("offset-honest", what)


def _check_dead(dump: Dump, report: Report, *, torn: bool) -> None:
    """What is no command is put aside once, with all its bytes; nothing else is.

    Where a transaction was torn it may be put aside again: whether its first letter is there is not
    known to the worker, and twice is better than never.
    """
    wanted = {
        (one.context, one.partition, one.offset): one.digest
        for one in dump.commands
        if not one.hash
    }
    found = Counter((one.context, one.partition, one.offset) for one in dump.dead)
    for letter in dump.dead:
        place = letter.context, letter.partition, letter.offset
        if place not in wanted:
            report.violate("dead-letters", f"{place} is a command, yet dead: {letter.reason}")
        elif letter.digest != wanted[place] and not letter.dropped:
            report.violate("dead-letters", f"{place} was not kept byte for byte")
    for place in wanted:
        if not found[place] or (found[place] > 1 and not torn):
            report.violate("dead-letters", f"{place} has {found[place]} dead letters")
    report.counts["dead_letters"] = len(dump.dead)
