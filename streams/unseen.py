"""What is committed and not yet seen in the log: kept until the index shows it, or found missing.

committed ──► add ──► missing(): the index has read past it   seen → forgotten, absent → again
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from streams.answers import Answer
from streams.records import Identity, header_map, text
from streams.stream_index import StreamIndex
from streams.turn import Place
from streams.verdicts import NewEvent


class Unseen:
    """Used by the lane's thread alone."""

    def __init__(self, index: StreamIndex) -> None:
        self._index = index
        self._events: deque[tuple[Mapping[Place, int], Sequence[NewEvent]]] = deque()
        self._answers: dict[Identity, Answer] = {}

    def __bool__(self) -> bool:
        """Whether there are events to look for."""
        return bool(self._events)

    def __len__(self) -> int:
        """Answers that are kept."""
        return len(self._answers)

    def add(
        self,
        events: Sequence[NewEvent],
        ends: Mapping[Place, int],
        answers: Mapping[Identity, Answer],
    ) -> None:
        """Take a commit; `ends` = reported offset of the last event of each place."""
        self._answers.update(answers)
        if events:
            self._events.append((ends, events))

    def answer(self, identity: Identity) -> Answer | None:
        """An answer that is committed, but may not be indexed yet."""
        return self._answers.get(identity)

    def keys(self) -> list[str]:
        """Keys of the events that are looked for."""
        return [event.key.decode() for _, events in self._events for event in events]

    def missing(self) -> list[NewEvent]:
        """The events that the index has read past without seeing them; what it saw is forgotten."""
        found: list[NewEvent] = []
        while self._events:
            ends, events = self._events[0]
            if any(self._index.position(*place) <= end for place, end in ends.items()):
                break
            self._events.popleft()
            found.extend(
                event
                for event in events
                if self._index.last_version(event.context, event.aggregate_id) < event.version
            )
        self._forget_answers()
        return found

    def _forget_answers(self) -> None:
        """Drop answers, oldest first, that the index knows by now."""
        missed = False
        while self._answers:
            identity = next(iter(self._answers))
            answer = self._answers.pop(identity)
            if self._index.answer(identity) is None:
                # To the end with it: one that never comes would hold up all the others.
                self._answers[identity] = answer
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
