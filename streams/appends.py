"""Appends to the log from this process: conditions on aggregates of one partition, and their events.

Append ──► judge_append ──► one Decided per aggregate with events ──► the lane's next transaction
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.contexts import CONTEXTS
from domain.errors import FlexCoreError, Invalid, Unavailable
from schemas.codec import Codec
from streams.answers import ACCEPTED, Answer
from streams.event_store import Part, Place
from streams.judging import View, version_conflict
from streams.new_events import Home, Source, new_events
from streams.records import Identity
from streams.topics import partition_of
from streams.verdicts import Decided

SOURCE = b"flexcore/append"
"""Nobody waits on the outcomes topic for what was appended from within."""

Result = Mapping[str, Answer] | FlexCoreError
"""The answer of each aggregate with events, or why nothing was written."""


@dataclass(frozen=True, slots=True, eq=False)
class Append:
    """`on_done` is called by the lane's thread, after the commit or instead of it."""

    context: str
    partition: int
    parts: Sequence[Part]
    append_id: uuid.UUID
    on_done: Callable[[Result], None]

    @property
    def place(self) -> Place:
        return self.context, self.partition

    def identity(self, part: Part) -> Identity:
        return Identity(self.context, part.aggregate_id, str(self.append_id))


def judge_append(append: Append, view: View, at: datetime, codec: Codec) -> list[Decided]:
    """What is to be written. Raises VersionConflict where a condition does not hold."""
    context = CONTEXTS[append.context]
    command_id = str(append.append_id)
    source = Source(append.append_id, "", SOURCE, command_id, command_id)
    decided = []
    for part in append.parts:
        version, state = view.state(context, part.aggregate_id)
        if not part.expected.accepts(version):
            raise version_conflict(context, part.aggregate_id, version, part.expected)
        if part.events:
            home = Home(context.name, part.aggregate_id, append.partition)
            new = new_events(home, version, part.events, source, at, codec)
            after = context.decider.fold(part.events, state)
            versions = tuple(event.version for event in new)
            answer = Answer(append.identity(part), "", ACCEPTED, versions)
            decided.append(Decided(answer, new, after, version + len(new), internal=True))
    return decided


def known_append(append: Append, view: View) -> Mapping[str, Answer] | None:
    """What an append with the same id brought before, `None` where there was none."""
    found = {
        part.aggregate_id: answer
        for part in append.parts
        if part.events and (answer := view.answer(append.identity(part))) is not None
    }
    return found or None


def new_append(
    context: str,
    parts: Sequence[Part],
    append_id: uuid.UUID,
    partitions: int,
    on_done: Callable[[Result], None],
) -> Append:
    """An append to the partition that its parts share. Raises Invalid for one that cannot be."""
    homes = sorted({partition_of(part.aggregate_id, partitions) for part in parts})
    if len(homes) != 1:
        what = f"the aggregates stand on the partitions {homes}; one append takes one"
        raise Invalid("append.invalid", what)
    append = Append(context, homes[0], tuple(parts), append_id, on_done)
    allowed = CONTEXTS[append.context].events
    foreign = [e for part in append.parts for e in part.events if not isinstance(e, allowed)]
    if foreign:
        what = f"{type(foreign[0]).__name__} is no event of the context {append.context!r}"
        raise Invalid("append.invalid", what)
    if len({part.aggregate_id for part in append.parts}) != len(append.parts):
        raise Invalid("append.invalid", "an aggregate stands in two parts; join them")
    return append


def not_owned(place: Place) -> Unavailable:
    """What an append is told where another worker owns its partition now."""
    context, partition = place
    what = f"this process does not own partition {partition} of {context}; try again"
    return Unavailable("owner.unavailable", what, context=context, partition=partition)
