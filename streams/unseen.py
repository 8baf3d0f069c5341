"""What is committed and not yet seen in the log: kept until the index shows it, or found missing.

committed ──► add ──► missing(): the index has read past it   seen → forgotten, absent → again
                  └─► torn(): the commands of a commit that lacks anything, which are judged again
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from streams.answers import Answer
from streams.records import Identity, header_map, text
from streams.stream_index import StreamIndex
from streams.turn import Place
from streams.verdicts import CommandRecord, NewEvent


@dataclass(frozen=True, slots=True)
class _Commit:
    """`ends` = reported offset of each place's last record; `answers` are those the events tell.

    `outcomes` are answers that no event tells: refusals, and what was so already.
    """

    ends: Mapping[Place, int]
    events: Sequence[NewEvent]
    answers: Sequence[Identity]
    outcomes: Sequence[Identity]
    commands: Sequence[CommandRecord]


class Unseen:
    """Used by the lane's thread alone."""

    def __init__(self, index: StreamIndex) -> None:
        self._index = index
        self._commits: deque[_Commit] = deque()
        self._answers: dict[Identity, Answer] = {}
        self._told_elsewhere: deque[Identity] = deque()
        self._torn: list[CommandRecord] = []

    def __bool__(self) -> bool:
        """Whether there are records to look for."""
        return bool(self._commits)

    def __len__(self) -> int:
        """Answers that are kept."""
        return len(self._answers)

    def add(
        self,
        events: Sequence[NewEvent],
        ends: Mapping[Place, int],
        answers: Mapping[Identity, Answer],
        outcomes: Sequence[Identity],
        commands: Sequence[CommandRecord],
    ) -> None:
        """Take a commit; `ends` = reported offset of the last event or outcome of each place."""
        self._answers.update(answers)
        by_events: list[Identity] = []
        for identity, answer in answers.items():
            (by_events if answer.versions else self._told_elsewhere).append(identity)
        if ends:
            self._commits.append(_Commit(ends, events, by_events, outcomes, commands))

    def answer(self, identity: Identity) -> Answer | None:
        """An answer that is committed, but may not be indexed yet."""
        return self._answers.get(identity)

    def keys(self) -> list[str]:
        """Keys of the events that are looked for."""
        return [event.key.decode() for commit in self._commits for event in commit.events]

    def missing(self) -> list[NewEvent]:
        """The events that the index has read past without seeing them; what it saw is forgotten."""
        found: list[NewEvent] = []
        while self._commits:
            commit = self._commits[0]
            if any(self._index.position(*place) <= end for place, end in commit.ends.items()):
                break
            self._commits.popleft()
            lost = [event for event in commit.events if not self._is_indexed(event)]
            if lost or any(self._index.answer(identity) is None for identity in commit.outcomes):
                self._torn.extend(commit.commands)
            if lost:
                found.extend(lost)
                self._told_elsewhere.extend(commit.answers)
            else:
                # The index knows an answer by the event that tells it.
                for identity in commit.answers:
                    self._answers.pop(identity, None)
        self._forget_told_elsewhere()
        return found

    def torn(self) -> list[CommandRecord]:
        """Commands whose commit was found to lack something, once: refusals, dead letters and what was
        forwarded are nowhere but in their transaction."""
        found, self._torn = self._torn, []
        return found

    def _is_indexed(self, event: NewEvent) -> bool:
        return self._index.last_version(event.context, event.aggregate_id) >= event.version

    def _forget_told_elsewhere(self) -> None:
        """Drop answers that no event of their commit tells, oldest first, once the index has them."""
        missed = False
        while self._told_elsewhere:
            identity = self._told_elsewhere.popleft()
            if self._index.answer(identity) is not None:
                self._answers.pop(identity, None)
                continue
            # To the end with it: one that never comes would hold up all the others.
            self._told_elsewhere.append(identity)
            if missed:
                break
            missed = True


def missing_of(
    events: Sequence[NewEvent], index: StreamIndex, last_keys: Mapping[Place, str]
) -> Iterator[NewEvent]:
    """What must be written again of a transaction that may have been committed in part.

    A stray EndTxn can commit half of it: then a command whose first events are there gets its
    others, and a place whose offsets were taken over gets all its events. `events` are in the
    order in which they were written; the index holds all that was committed.
    """
    whole = {
        place
        for place, key in last_keys.items()
        if key in {e.key.decode() for e in _at(events, place)}
    }
    begun: set[tuple[str, str, str]] = set()
    for event in events:
        command = event.context, event.aggregate_id, _command(event)
        if _holds(index, event):
            begun.add(command)
        elif command in begun or (event.context, event.partition) in whole:
            yield event


def _at(events: Sequence[NewEvent], place: Place) -> list[NewEvent]:
    return [event for event in events if (event.context, event.partition) == place]


def _command(event: NewEvent) -> str:
    return text(header_map(event.headers), "ce_commandid")


def _holds(index: StreamIndex, event: NewEvent) -> bool:
    found = index.event(event.context, event.aggregate_id, event.version)
    return found is not None and found.event_id == text(header_map(event.headers), "ce_id")
