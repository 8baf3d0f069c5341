"""The tailer: reads back what is committed, puts it into the index, and only then answers. No I/O.

    events in log order ──► reader rule ──► index ──► answers of owned partitions

Reader rule, per aggregate: last + 1 → take; ≤ last → a later copy of the same event takes its
place, another event is dropped and said so; further on → hold until its predecessor comes. A gap
is a fact only when the end that was true when it appeared has been read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from streams.answers import ACCEPTED, Answer, answer_of
from streams.appends import SOURCE
from streams.records import EventRecord, text
from streams.snapshots import Snapshot
from streams.stream_index import StreamIndex
from streams.topics import event_key
from streams.turn import Place

log = structlog.get_logger("flexcore.tailer")

ENGINE = "flexcore/engine"
_INSIDE = frozenset({ENGINE, SOURCE.decode()})
"""Whose events nobody waits for on the outcomes topic."""


@dataclass(slots=True)
class _Gap:
    """An aggregate's events that came before their predecessor; `end` is not known at first."""

    end: int | None = None
    early: dict[int, EventRecord] = field(default_factory=dict)


class Tailer:
    """Fed by one thread; `own` and `disown` come from another, between two calls."""

    def __init__(self, index: StreamIndex) -> None:
        self._index = index
        self._answer_from: dict[Place, int] = {}
        self._gaps: dict[Place, dict[str, _Gap]] = {}
        self._torn: dict[Place, dict[str, tuple[int, int]]] = {}
        self.conflicts = 0

    def own(self, answered: Mapping[Place, int]) -> None:
        """Answer the events of these places from these offsets on, and of no others."""
        self._answer_from = dict(answered)

    def disown(self) -> None:
        self._answer_from = {}

    def owns(self, place: Place) -> bool:
        return place in self._answer_from

    @property
    def room(self) -> bool:
        """Whether more may be read now; where not, the index has to write first."""
        return self._index.room

    def resume(self, place: Place) -> int:
        """The offset below which all is indexed and nothing waits for something else."""
        return self._index.resume(*place)

    def on_events(self, place: Place, events: Sequence[EventRecord], position: int) -> list[Answer]:
        """Take what was read up to `position`; returns the answers that are due."""
        taken: list[EventRecord] = []
        copies: list[EventRecord] = []
        versions: dict[str, int] = {}
        for event in events:
            last = versions.get(event.aggregate_id)
            if last is None:
                last = self._index.last_version(event.context, event.aggregate_id)
            if event.version == last + 1:
                taken.append(event)
                versions[event.aggregate_id] = event.version
                if place in self._gaps:
                    versions[event.aggregate_id] = self._unblock(place, event, taken)
            elif event.version <= last:
                if self._is_later_copy(event, taken):
                    copies.append(event)
                if event.version == last:
                    self._watch_whole(place, event)
            else:
                self._hold(place, event)
        for event in taken:
            self._watch_whole(place, event)
        self._index.append(taken)
        for copy in copies:
            self._index.replace(copy)
            self._index.distrust(copy.context, copy.aggregate_id)
        self._index.advance(*place, position, self._resume(place, position))
        return self._answers(place, taken)

    def on_snapshots(self, snapshots: Sequence[Snapshot], place: Place, position: int) -> None:
        """Take what was read up to `position`; what it is worth is found out when it is used."""
        for snapshot in snapshots:
            self._index.keep(snapshot)
        self._index.advance(*place, position)

    def on_outcomes(
        self, answers: Sequence[tuple[Answer, int]], place: Place, position: int
    ) -> None:
        """Take (answer, broker time in ms) of commands that made no events."""
        for answer, at_ms in answers:
            if answer.remembered and not answer.versions:
                self._index.remember(answer, at_ms)
        self._index.advance(*place, position)

    # ── what is missing ──────────────────────────────────────────────────────────────────────────

    def wanted_ends(self) -> set[Place]:
        """Places with a gap whose true end somebody must look up."""
        return {
            place
            for place, gaps in self._gaps.items()
            if any(gap.end is None for gap in gaps.values())
        }

    def on_end(self, place: Place, end: int) -> None:
        for gap in self._gaps.get(place, {}).values():
            if gap.end is None:
                gap.end = end

    def gaps(self) -> dict[Place, str]:
        """Of each place with a confirmed gap, the key of one event that is missing."""
        # Asked for by other threads: copies, as a dictionary may not be walked while it changes.
        found = {}
        for place, gaps in tuple(self._gaps.items()):
            for aggregate_id, gap in tuple(gaps.items()):
                if gap.end is not None and gap.early and self._index.position(*place) >= gap.end:
                    found[place] = self._before(place, aggregate_id)
        return found

    def _before(self, place: Place, aggregate_id: str) -> str:
        """The key of the next event of an aggregate, behind which others wait."""
        last = self._index.last_version(place[0], aggregate_id)
        return event_key(aggregate_id, last + 1).decode()

    def lacking(self, place: Place) -> str:
        """The key of an event that the log lacks, of what was read so far; empty if it is whole.

        A gap, or a command whose last event did not come. Only at the end it is more than a moment.
        """
        # Other threads ask: of copies.
        torn = tuple(self._torn.get(place, {}).items())
        gaps = tuple(self._gaps.get(place, ()))
        if torn:
            aggregate_id, (version, _) = torn[0]
            return event_key(aggregate_id, version).decode()
        return self._before(place, gaps[0]) if gaps else ""

    def _watch_whole(self, place: Place, event: EventRecord) -> None:
        """Note what a command of several events still lacks."""
        count = event.headers.get("ce_txncount", b"1")
        index = event.headers.get("ce_txnindex", b"")
        if count == b"1" or not (count.isdigit() and index.isdigit()):
            return
        torn = self._torn.setdefault(place, {})
        if int(index) + 1 < int(count):
            torn[event.aggregate_id] = event.version + 1, event.offset
        else:
            torn.pop(event.aggregate_id, None)

    def _hold(self, place: Place, event: EventRecord) -> None:
        gap = self._gaps.setdefault(place, {}).setdefault(event.aggregate_id, _Gap())
        known = gap.early.setdefault(event.version, event)
        if self._alike(known, event) and event.offset > known.offset:
            gap.early[event.version] = event

    def _unblock(self, place: Place, event: EventRecord, taken: list[EventRecord]) -> int:
        """Take what waited for `event`; returns the version that is last now."""
        gaps, version = self._gaps[place], event.version
        gap = gaps.get(event.aggregate_id)
        if gap is None:
            return version
        while (follower := gap.early.pop(version + 1, None)) is not None:
            taken.append(follower)
            version += 1
        if version > event.version:
            # Written behind its followers, so again, and maybe with less in it than they knew.
            self._index.distrust(event.context, event.aggregate_id)
        if not gap.early:
            del gaps[event.aggregate_id]
        if not gaps:
            del self._gaps[place]
        return version

    def _resume(self, place: Place, position: int) -> int:
        """From where a new process must read again to know what is held and watched here."""
        early = (e.offset for gap in self._gaps.get(place, {}).values() for e in gap.early.values())
        torn = (offset for _, offset in self._torn.get(place, {}).values())
        return min((*early, *torn), default=position)

    def _is_later_copy(self, event: EventRecord, taken: Sequence[EventRecord]) -> bool:
        """Whether it stands for an event that is known, written again: redacted or pruned."""
        known = self._index.event(event.context, event.aggregate_id, event.version) or next(
            (
                e
                for e in taken
                if (e.aggregate_id, e.version) == (event.aggregate_id, event.version)
            ),
            None,
        )
        if known is None or not self._alike(known, event):
            return False
        return event.offset > known.offset and event.value != known.value

    def _alike(self, known: EventRecord, event: EventRecord) -> bool:
        """A republished event must be the one it replaces, whatever was redacted in its body."""
        pruned = known.value is None or event.value is None
        if not pruned and known.event_id != event.event_id:
            self.conflicts += 1
            log.error(
                "event_conflict",
                context=event.context,
                aggregate_id=event.aggregate_id,
                version=event.version,
                offset=event.offset,
                other_offset=known.offset,
            )
            return False
        return True

    # ── answers ──────────────────────────────────────────────────────────────────────────

    def _answers(self, place: Place, taken: Sequence[EventRecord]) -> list[Answer]:
        start = self._answer_from.get(place)
        if start is None:
            return []
        return [answer for event in taken if event.offset >= start for answer in due(event)]


def due(event: EventRecord) -> list[Answer]:
    """The answer an event calls for: one for a command's last event, none where it came from inside."""
    if text(event.headers, "ce_source") in _INSIDE:
        return []
    answer = answer_of(event)
    assert answer is None or answer.status == ACCEPTED
    return [] if answer is None else [answer]
