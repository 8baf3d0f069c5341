"""What the index of a partition has taken and not written yet.

An event takes two puts and each may wait for the interpreter: under a busy lane py-lmdb, which
gives the GIL away in every put, needed 154 ms for 2,000 of them instead of 4. A thread of its own
may wait so long; an answer, which comes after `append`, may not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.answers import Answer
from streams.records import EventRecord, Identity
from streams.snapshots import Snapshot
from streams.stream_index import activity

Stream = tuple[str, str]
"""(context, aggregate id)"""

RECORD_BYTES = 3_000
"""An event's headers and entries here as Python objects, measured; its value comes on top."""


@dataclass(slots=True)
class Pending:
    """Filled by one thread; others read it meanwhile, entry by entry."""

    events: dict[tuple[str, str, int], EventRecord] = field(default_factory=dict)
    last: dict[Stream, int] = field(default_factory=dict)
    answers: dict[Identity, tuple[int, Answer | int]] = field(default_factory=dict)
    active: dict[str, bool] = field(default_factory=dict)
    snapshots: dict[Stream, Snapshot] = field(default_factory=dict)
    positions: dict[str, tuple[int, int]] = field(default_factory=dict)
    size: int = 0
    """Bytes of memory, roughly."""

    def __bool__(self) -> bool:
        return bool(self.positions or self.events or self.answers or self.snapshots)

    def append(self, event: EventRecord, floor_ms: int) -> None:
        """Take an event; of a command from before `floor_ms` no answer is known."""
        self.put(event)
        # After the event: whoever finds a version here finds its event too.
        self.last[event.context, event.aggregate_id] = event.version
        if event.timestamp_ms >= floor_ms:
            self.answers[event.identity] = event.timestamp_ms, event.version
        self.show(event)

    def put(self, event: EventRecord) -> None:
        self.events[event.context, event.aggregate_id, event.version] = event
        self.size += RECORD_BYTES + len(event.value or b"")

    def show(self, last: EventRecord) -> None:
        """Note whether an aggregate is active after its last event."""
        active = activity(last)
        if active is not None:
            self.active[last.aggregate_id] = active

    def remember(self, answer: Answer, at_ms: int) -> None:
        self.answers[answer.identity] = at_ms, answer
        self.size += RECORD_BYTES

    def keep(self, stream: Stream, snapshot: Snapshot) -> None:
        self.snapshots[stream] = snapshot
        self.size += RECORD_BYTES + len(snapshot.value or b"")


def newest(pending: Sequence[Pending], stream: Stream) -> int:
    """The last version that stands in any of them, newest first; 0 where none does."""
    for one in pending:
        version = one.last.get(stream)
        if version is not None:
            return version
    return 0
