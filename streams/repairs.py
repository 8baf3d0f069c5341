"""What the lane writes again: events that are committed, or half committed, and not in the log.

committed ──► looked for by the index ──► absent: due again, its commands judged again
failed ──► doubtful until the log is read to its end ──► committed in part: the rest is due
"""

from collections import deque
from collections.abc import Iterator, Mapping

from streams.stream_index import StreamIndex
from streams.turn import Place, Turn
from streams.unseen import Unseen, missing_of
from streams.verdicts import CommandRecord, NewEvent


class Repairs:
    """Of one generation, used by the lane's thread alone."""

    def __init__(self, index: StreamIndex) -> None:
        self.unseen = Unseen(index)
        self._index = index
        self._due: deque[NewEvent] = deque()
        self._doubtful: Turn | None = None
        self._again: set[tuple[str, int, int]] = set()
        self._untold: set[bytes] = set()

    def __bool__(self) -> bool:
        """Whether there is something to write again or to look for."""
        return bool(self._due or self.unseen)

    def keys(self) -> frozenset[str]:
        """Keys of the events that would be written again if the log lacked them."""
        held = (*self._due, *(self._doubtful.events if self._doubtful else ()))
        return frozenset((*self.unseen.keys(), *(event.key.decode() for event in held)))

    def concern(self, command: CommandRecord) -> bool:
        """Whether a command is judged again, although the committed offset is past it."""
        return _at(command) in self._again

    def committed(self, turn: Turn, ends: Mapping[Place, int]) -> None:
        """Look for what a turn has written; `ends` = reported offset of each place's last record."""
        self._again.difference_update(map(_at, turn.commands))
        self._untold.difference_update(event.key for event in turn.repairs)
        self.unseen.add(turn.events, ends, turn.answers, turn.outcomes, turn.eventless)

    def failed(self, turn: Turn) -> None:
        """What a failed turn would have written again is due again; of the rest nobody knows yet."""
        self._due.extendleft(reversed(turn.repairs))
        self._doubtful = turn

    def find(self) -> list[CommandRecord]:
        """Have what is committed, yet not in the log, written again: KAFKA-17754 tore its transaction.

        Returns the commands that must be judged again, in their order.
        """
        self._due.extend(self.unseen.missing())
        torn = self.unseen.torn()
        self._again.update(map(_at, torn))
        return torn

    def reopen(self, last_keys: Mapping[Place, str]) -> None:
        """Find out what became of a failed turn, now that the log is read to its end."""
        if self._doubtful is not None:
            self._learn(self._doubtful, last_keys)
            self._doubtful = None
        # The engine has just read anew what the log holds, so it knows nothing of these.
        self._untold = {event.key for event in self._due}

    def _learn(self, turn: Turn, last_keys: Mapping[Place, str]) -> None:
        """Where it was committed in part, its offsets may have been taken over without its refusals
        and dead letters: then its commands are judged again, whatever the offsets say.
        """
        fresh = [event for event in turn.events if event not in turn.repairs]
        missing = list(missing_of(fresh, self._index, last_keys))
        self._due.extend(missing)
        untold = [
            identity
            for identity, answer in turn.answers.items()
            if answer.remembered and not answer.versions and self._index.answer(identity) is None
        ]
        if missing or untold:
            self._again.update(map(_at, turn.commands))

    def due(self) -> Iterator[tuple[NewEvent, bool]]:
        """Hand out what must be written again, and whether the engine knows of it."""
        while self._due:
            event = self._due.popleft()
            yield event, event.key not in self._untold


def _at(command: CommandRecord) -> tuple[str, int, int]:
    """(context, partition, offset)."""
    return command.context, command.partition, command.offset
