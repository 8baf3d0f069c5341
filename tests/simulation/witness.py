"""Sees every record in the moment consumers may see it, and objects to what must never be seen.

aborted or missing events are never answered · no phantom · one event per version · one answer
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from streams.answers import ACCEPTED, UNAVAILABLE, Answer
from streams.records import EventRecord, Identity, header_map, text
from streams.tailer import ENGINE
from streams.turn import Place
from tests.simulation.broker import LogName
from tests.simulation.clients import Command, Sent, asked_by_schedule
from tests.simulation.log import Record
from tests.simulation.places import TOPICS, context_of
from tests.simulation.reading import answer_in, event_records

Aggregate = tuple[str, str]
_RUNS = TOPICS.commands("execution")


class Violation(AssertionError):
    """A promise was broken; the text says which and how."""


@dataclass(slots=True)
class Witness:
    sent: dict[Sent, Command] = field(default_factory=dict)
    identities: set[Identity] = field(default_factory=set)
    events: dict[Aggregate, dict[int, EventRecord]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    made: dict[Identity, dict[int, EventRecord]] = field(default_factory=lambda: defaultdict(dict))
    said: dict[Sent, Answer] = field(default_factory=dict)
    heard: set[Sent] = field(default_factory=set)
    """What was answered at all, `unavailable` included."""
    asked: Counter[str] = field(default_factory=Counter)
    """Commands of schedules, by the ids of the events that they came with."""
    republished: bool = False
    copies: int = 0
    _content: dict[Identity, str] = field(default_factory=dict)

    def sends(self, command: Command) -> None:
        self.sent[command.sent] = command
        self.identities.add(command.sent[0])

    def sees(self, name: LogName, record: Record) -> None:
        """Raises Violation."""
        context = context_of(name[0])
        if context is not None:
            self._event(event_records((context, name[1]), (record,))[0])
        elif name[0] == TOPICS.outcomes:
            self._answer(answer_in(record))
        elif name[0] == _RUNS and text(header_map(record.headers), "ce_source") == ENGINE:
            self._asked(asked_by_schedule(("execution", name[1]), record))

    # ── events ───────────────────────────────────────────────────────────────────────────

    def _event(self, event: EventRecord) -> None:
        internal = text(event.headers, "ce_source") == ENGINE
        if not internal and event.identity not in self.identities:
            raise Violation(f"phantom: nobody sent what made {event}")
        known = self.events[event.context, event.aggregate_id]
        before = known.setdefault(event.version, event)
        if before is not event:
            if before.event_id != event.event_id:
                raise Violation(f"two events of one version: {_short(before)} and {_short(event)}")
            self.copies += 1
        self.made[event.identity].setdefault(event.version, event)

    def _asked(self, command: Command) -> None:
        """A schedule has asked for a run."""
        self.asked[command.sent[0].command_id] += 1
        self.sends(command)

    # ── answers ──────────────────────────────────────────────────────────────────────────

    def _answer(self, answer: Answer) -> None:
        sent = answer.identity, answer.hash
        if sent not in self.sent:
            raise Violation(f"phantom: an answer to what nobody sent: {answer}")
        self.heard.add(sent)
        if answer.status == UNAVAILABLE:
            return
        before = self.said.setdefault(sent, answer)
        if _told(before) != _told(answer):
            raise Violation(f"told differently: {_told(before)}, then {_told(answer)} {sent}")
        if answer.error_code != "command.id_reused":
            first = self._content.setdefault(answer.identity, answer.hash)
            if first != answer.hash:
                raise Violation(f"one id took effect with two contents: {answer.identity}")
        if answer.status == ACCEPTED:
            self._accepted(answer, self.sent[sent].expected)

    def _accepted(self, answer: Answer, expected: str) -> None:
        made = sorted(self.made.get(answer.identity, ()))
        if made != list(answer.versions):
            raise Violation(f"accepted {answer.versions}, in the log {made}: {answer.identity}")
        if not made:
            return
        found = made[0] - 1
        wanted = {"": True, "none": found == 0, "exists": found > 0}
        if not wanted.get(expected, expected == str(found)):
            raise Violation(f"expected {expected!r}, found {found}: {answer.identity}")

    # ── effects ──────────────────────────────────────────────────────────────────────────

    def has_made(self, sent: Sent) -> bool:
        """Whether events of just this command are in the log."""
        made = self.made.get(sent[0])
        if not made:
            return False
        return text(next(iter(made.values())).headers, "ce_commandhash") == sent[1]

    def decided(self, sent: Sent) -> bool:
        """Whether a command has had its effect, or was told why not."""
        return sent in self.heard or self.has_made(sent)


def place_text(place: Place) -> str:
    return f"{place[0]}/{place[1]}"


def _told(answer: Answer) -> tuple[str, str, tuple[int, ...]]:
    return answer.status, answer.error_code, answer.versions


def _short(event: EventRecord) -> str:
    return f"{event.aggregate_id}#{event.version} at {event.partition}@{event.offset}"
