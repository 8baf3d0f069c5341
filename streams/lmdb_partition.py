"""The stream index of one partition number: what is pending, over what LMDB holds.

tailer ──► fresh ──► writing ──► LMDB     readers look in the same order, so they miss nothing
"""

from collections.abc import Sequence
from threading import Lock

from streams.answers import Answer, answer_of
from streams.lmdb_environment import Environment
from streams.lmdb_form import DISTRUST
from streams.lmdb_pending import Pending, Stream, newest
from streams.records import EventRecord, Identity
from streams.snapshots import Snapshot
from streams.stream_index import HOUR_MS

MAX_RECENT = 2_500
"""Last versions at hand, 0.6 MB per partition: asked for twice per command, and LMDB takes 3 µs to
tell one."""


class LmdbPartition:
    """One thread appends, one writes at a time, any may read; no lock is held while reading."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._positions = environment.positions()
        # Newest first: what fills up, and at times what is being written. Replaced, never changed.
        self._held: tuple[Pending, ...] = (Pending(),)
        # Between `append` and `advance` nothing may be written: a kept position stands for all
        # that is before it, and what is kept without one would never be answered after a crash.
        self._whole = True
        self._floor_ms = 0
        # Filled by the thread that appends alone: what another one puts here might be old by then.
        self._recent: dict[Stream, int] = {}
        self._changing = Lock()
        self._writing = Lock()

    @property
    def size(self) -> int:
        """Bytes of memory that wait for the disk."""
        return sum(pending.size for pending in self._held)

    # ── taking, by one thread ────────────────────────────────────────────────────────────

    def append(self, events: Sequence[EventRecord]) -> None:
        fresh = self._begin()
        for event in events:
            fresh.append(event, self._floor_ms)
            # After the event: whoever finds a version here finds its event too.
            self._recent[event.context, event.aggregate_id] = event.version
        if len(self._recent) > MAX_RECENT:
            for stream in list(self._recent)[: MAX_RECENT // 2]:
                del self._recent[stream]

    def replace(self, event: EventRecord) -> None:
        last = self.last_version(event.context, event.aggregate_id)
        fresh = self._begin()
        fresh.put(event)
        if event.version == last:
            fresh.show(event)

    def remember(self, answer: Answer, at_ms: int) -> None:
        if at_ms >= self._floor_ms and self._found(answer.identity) is None:
            self._begin().remember(answer, at_ms)

    def keep(self, snapshot: Snapshot) -> None:
        stream = snapshot.context, snapshot.aggregate_id
        if self._kept(stream) is not DISTRUST:
            self._begin().keep(stream, snapshot)

    def distrust(self, context: str, aggregate_id: str) -> None:
        self._begin().keep((context, aggregate_id), DISTRUST)

    def advance(self, context: str, position: int, resume: int) -> None:
        with self._changing:
            if position >= self.position(context):
                self._positions[context] = position, resume
                self._held[0].positions[context] = position, resume
            self._whole = True

    def _begin(self) -> Pending:
        with self._changing:
            self._whole = False
            return self._held[0]

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def position(self, context: str) -> int:
        return self._positions.get(context, (0, 0))[0]

    def resume(self, context: str) -> int:
        return self._positions.get(context, (0, 0))[1]

    def last_version(self, context: str, aggregate_id: str) -> int:
        stream = context, aggregate_id
        return (
            self._recent.get(stream)
            or newest(self._held, stream)
            or self._environment.last_version(stream)
        )

    def event(self, context: str, aggregate_id: str, version: int) -> EventRecord | None:
        return next(iter(self.events(context, aggregate_id, version, 1)), None)

    def events(
        self, context: str, aggregate_id: str, first: int, limit: int | None
    ) -> list[EventRecord]:
        """`limit` events at most, from version `first`, which is 1 or more. Raises Damaged."""
        # In this order: what has left one of them stands in the next.
        end = self.last_version(context, aggregate_id)
        held = self._held
        if limit is not None:
            end = min(end, first + limit - 1)
        versions = range(first, end + 1)
        found = [_pending(held, context, aggregate_id, version) for version in versions]
        missing = [version for version, event in zip(versions, found, strict=True) if event is None]
        if missing:
            count = missing[-1] - missing[0] + 1
            stored = self._environment.events((context, aggregate_id), missing[0], count)
            for version in missing:
                found[version - first] = stored[version - missing[0]]
        return [event for event in found if event is not None]

    def snapshot(self, context: str, aggregate_id: str) -> Snapshot | None:
        found = self._kept((context, aggregate_id))
        return None if found is None or found.value is None else found

    def distrusted(self, context: str, aggregate_id: str) -> bool:
        return self._kept((context, aggregate_id)) is DISTRUST

    def _kept(self, stream: Stream) -> Snapshot | None:
        for pending in self._held:
            found = pending.snapshots.get(stream)
            if found is not None:
                return found
        return self._environment.snapshot(stream)

    def answer(self, identity: Identity) -> Answer | None:
        _, found = self._found(identity) or (0, None)
        if not isinstance(found, int):
            return found
        last = self.event(identity.context, identity.aggregate_id, found)
        return None if last is None else answer_of(last)

    def active(self) -> list[str]:
        held = self._held
        found = dict.fromkeys(self._environment.active(), True)
        for pending in reversed(held):
            # A copy, as it may not be walked while it fills up.
            found.update(pending.active.copy())
        return sorted(aggregate_id for aggregate_id, active in found.items() if active)

    def aggregates(self, context: str) -> list[str]:
        held = self._held
        found = dict.fromkeys(self._environment.aggregates(context))
        for pending in held:
            # A copy, as it may not be walked while it fills up.
            found.update((i, None) for c, i in pending.last.copy() if c == context)
        return list(found)

    def _found(self, identity: Identity) -> tuple[int, Answer | int] | None:
        for pending in self._held:
            found = pending.answers.get(identity)
            if found is not None:
                break
        else:
            found = self._environment.answer(identity)
        return None if found is None or found[0] < self._floor_ms else found

    # ── writing, by whoever comes ────────────────────────────────────────────────────────

    def write(self) -> bool:
        """Bring what is pending to LMDB; tells whether there was something. Raises IndexFull."""
        with self._writing:
            with self._changing:
                fresh = self._held[0]
                if len(self._held) == 1 and self._whole and fresh:
                    self._held = Pending(), fresh
            if len(self._held) == 1:
                return False
            self._environment.write(self._held[1])
            with self._changing:
                self._held = self._held[:1]
            return True

    def forget(self, before_hour: int) -> None:
        """Know no answers of earlier hours from now on, also none that come later."""
        self._floor_ms = max(before_hour * HOUR_MS, self._floor_ms)

    def expire(self, before_hour: int) -> bool:
        """Take some of what is forgotten from the disk; tells whether there is more.

        Raises IndexFull.
        """
        with self._writing:
            return self._environment.expire(before_hour)

    def close(self) -> None:
        with self._writing:
            self._environment.close()


def _pending(
    held: Sequence[Pending], context: str, aggregate_id: str, version: int
) -> EventRecord | None:
    for pending in held:
        event = pending.events.get((context, aggregate_id, version))
        if event is not None:
            return event
    return None
