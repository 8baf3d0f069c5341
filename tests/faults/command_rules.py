"""What must hold between the clients' history and the log.

asked ─► answered, equally each time ─► accepted: its events are there | refused: none are
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

from streams.answers import UNAVAILABLE
from tests.faults.history import Identity, Operation
from tests.faults.logged import Dump, LoggedEvent
from tests.faults.report import Report

Content = tuple[Identity, str]
"""(identity, hash of the content)."""
Version = tuple[str, str, int]
"""(context, aggregate id, version)."""
Events = Mapping[Identity, Sequence[LoggedEvent]]
NOT_DECIDED = "owner.unavailable"
UNDELIVERED = "undelivered"
CONFLICT = "aggregate.version_conflict"


def check(operations: Sequence[Operation], events: Events, dump: Dump, report: Report) -> None:
    """Check every command that was asked for and every event a command caused."""
    asked: dict[Content, Operation] = {}
    answers: dict[Content, list[Operation]] = defaultdict(list)
    excused: set[Content] = set()
    for operation in operations:
        content = operation.identity, operation.hash
        if operation.phase == "invoke":
            asked.setdefault(content, operation)
        elif operation.answered:
            answers[content].append(operation)
        elif operation.code == UNDELIVERED:
            excused.add(content)
    delivered = {one.identity for one in dump.commands}
    _check_answered(asked, answers, excused, delivered, report)
    _check_topic(operations, dump, report)
    for content, given in answers.items():
        _check_equal(content, given, report)
        _check_effect(content, given, events, report)
    _check_caused(asked, events, report)
    _check_expected(asked, answers, report)
    _count(operations, asked, answers, report)


def _check_answered(
    asked: Mapping[Content, Operation],
    answers: Mapping[Content, Sequence[Operation]],
    excused: set[Content],
    delivered: Set[Identity],
    report: Report,
) -> None:
    for content, operation in asked.items():
        if content in answers or content in excused:
            continue
        report.violate("answered", f"{operation.op} {content} has no answer")
        if operation.identity not in delivered:
            report.violate("delivered", f"{operation.op} {content} is not on its topic")
    for content in answers:
        if content not in asked:
            report.violate("asked", f"{content} was answered, yet never asked")


def _check_topic(operations: Iterable[Operation], dump: Dump, report: Report) -> None:
    """What clients read is on the topic; what is there for one content is equal."""
    there = {answer.place: answer for answer in dump.answers}
    for operation in operations:
        if not operation.answered:
            continue
        answer = there.get(operation.place)
        if answer is None:
            report.violate("aborted-answer", f"{operation.place} was read, yet is not there")
        elif (answer.command_id, answer.versions) != (operation.command_id, operation.versions):
            report.violate("aborted-answer", f"{operation.place} holds another answer")
    first: dict[Content, tuple[str, str, tuple[int, ...]]] = {}
    for answer in dump.answers:
        if answer.status != UNAVAILABLE:
            content = (answer.context, answer.aggregate, answer.command_id), answer.hash
            said = answer.status, answer.code, answer.versions
            if first.setdefault(content, said) != said:
                report.violate("equal-answers", f"{content}: {first[content]}, then {said}")


def _check_equal(content: Content, given: Sequence[Operation], report: Report) -> None:
    said = {(a.phase, a.code, a.versions) for a in given if a.code != NOT_DECIDED}
    if len(said) > 1:
        report.violate("equal-answers", f"{content} was told {sorted(said)}")


def _check_effect(
    content: Content, given: Sequence[Operation], events: Events, report: Report
) -> None:
    identity, digest = content
    versions = tuple(event.version for event in events.get(identity, ()) if event.hash == digest)
    accepted = next((answer for answer in given if answer.phase == "ok"), None)
    if accepted is not None and accepted.versions != versions:
        what = f"{content} was answered {accepted.versions}; the log has {versions}"
        report.violate("in-the-log", what)
    elif accepted is None and versions:
        report.violate("refused", f"{content} was refused ({given[0].code}); it made {versions}")


def _check_caused(asked: Mapping[Content, Operation], events: Events, report: Report) -> None:
    for identity, caused in events.items():
        for event in caused:
            if event.source.startswith("flexcore/engine"):
                continue
            command = asked.get((identity, event.hash))
            if command is None:
                report.violate("asked", f"{identity}#{event.version}: nobody asked for this event")
            elif event.name and event.name != command.payload:
                what = f"{identity} asked for {command.payload!r}; its event says {event.name!r}"
                report.violate("payload", what)


# ── expected versions ────────────────────────────────────────────────────────────────────


def _check_expected(
    asked: Mapping[Content, Operation],
    answers: Mapping[Content, Sequence[Operation]],
    report: Report,
) -> None:
    """Accepted only at the expected version; a conflict only where there can have been one."""
    known_at: dict[Version, float] = {}
    replaced_from: dict[Version, float] = {}
    for content, given in answers.items():
        command = asked.get(content)
        accepted = [answer for answer in given if answer.phase == "ok" and answer.versions]
        if command is None or not accepted:
            continue
        context, aggregate, _ = command.identity
        told = min(answer.t for answer in accepted)
        known_at[context, aggregate, accepted[0].versions[-1]] = told
        replaced_from[context, aggregate, accepted[0].versions[0] - 1] = command.t
        if not _accepts(command.expected, accepted[0].versions[0] - 1):
            what = f"{content} expected {command.expected}, made {accepted[0].versions}"
            report.violate("expected-version", what)
    for content, given in answers.items():
        command = asked.get(content)
        conflict = next((answer for answer in given if answer.code == CONFLICT), None)
        if command is not None and conflict is not None:
            _check_conflict(command, conflict, known_at, replaced_from, report)


def _check_conflict(
    command: Operation,
    conflict: Operation,
    known_at: Mapping[Version, float],
    replaced_from: Mapping[Version, float],
    report: Report,
) -> None:
    """`known_at` is when a version was told of, `replaced_from` when its successor was asked for."""
    report.counts["conflicts"] += 1
    if not command.expected.isdecimal():
        if command.expected not in ("none", "exists"):
            what = f"{command.identity} expected nothing, yet conflicts"
            report.violate("expected-version", what)
        return
    at = (command.context, command.aggregate, int(command.expected))
    stood = known_at.get(at, conflict.t) < command.t
    if stood and replaced_from.get(at, conflict.t + 1) > conflict.t:
        what = f"{command.identity} conflicts, while the aggregate stood at {command.expected}"
        report.violate("false-conflict", what)


def _accepts(expected: str, before: int) -> bool:
    if expected.isdecimal():
        return before == int(expected)
    return expected in ("", "any") or (before > 0) == (expected == "exists")


def _count(
    operations: Sequence[Operation],
    asked: Mapping[Content, Operation],
    answers: Mapping[Content, Sequence[Operation]],
    report: Report,
) -> None:
    report.counts["sent"] = sum(operation.phase == "invoke" for operation in operations)
    report.counts["commands"] = len(asked)
    report.counts["answers"] = sum(map(len, answers.values()))
    for given in answers.values():
        accepted = any(answer.phase == "ok" for answer in given)
        report.counts["accepted" if accepted else "refused"] += 1
        report.counts["answered_again"] += len(given) > 1
        for code in {answer.code for answer in given if answer.phase == "fail"}:
            report.counts[f"code {code}"] += 1
