"""The stream index (port): what the log holds, by aggregate; derived, so it may always be dropped.

events by (aggregate, version) · answers by command identity, 7 days · active executions
· last snapshots · how far it has read
"""

from collections.abc import Sequence
from typing import Protocol

from streams.answers import Answer
from streams.records import EventRecord, Identity
from streams.snapshots import Snapshot

OUTCOMES = "outcomes"
"""The name under which the outcomes topic stands beside the contexts in positions."""


class Damaged(Exception):
    """Bytes of an index that were not written like this: the disk, or somebody else, changed them.

    Says nothing about what asked for them: who gets it ends, and the next process reads the log anew.
    """


WINDOW_MS = 7 * 24 * 60 * 60 * 1000
"""How long a command's identity is known (the public contract); command topics keep as long."""
HOUR_MS = 60 * 60 * 1000
"""The grain in which answers are forgotten."""

_WITH_AN_END = "execution"
_ENDS = frozenset(
    f"flexcore.execution.Execution{how}" for how in ("Completed", "Failed", "Cancelled")
)


def activity(last: EventRecord) -> bool | None:
    """Whether an aggregate's last event leaves it active; `None` where its kind has no end."""
    if last.context != _WITH_AN_END:
        return None
    return last.value is not None and last.type not in _ENDS


def is_end(event_type: str) -> bool:
    """Whether nothing follows an event of this type."""
    return event_type in _ENDS


class StreamIndex(Protocol):
    """Written by the tailer alone, read by lane, engine and pages from other threads.

    What is appended, replaced, remembered and kept outlives the process together with the `advance`
    that follows it, or not at all: behind a kept position nothing is unknown and nothing unanswered.
    """

    def append(self, events: Sequence[EventRecord]) -> None:
        """Take events of one partition, each of which is its aggregate's next one."""
        ...

    def replace(self, event: EventRecord) -> None:
        """Put a later copy, redacted or pruned, in the place of an event that is here."""
        ...

    def remember(self, answer: Answer, at_ms: int) -> None:
        """Keep the answer to a command that made no events, unless its identity is known."""
        ...

    def keep(self, snapshot: Snapshot) -> None:
        """Take an aggregate's last snapshot, or its deletion, unless the aggregate is distrusted."""
        ...

    def distrust(self, context: str, aggregate_id: str) -> None:
        """Keep no snapshot of an aggregate from now on: one of its events was written again."""
        ...

    def advance(
        self, context: str, partition: int, position: int, resume: int | None = None
    ) -> None:
        """All of the partition below `position` has been read.

        A new process must read again from `resume` on (default: `position`), where something that
        was read still waits for what comes before it.
        """
        ...

    def position(self, context: str, partition: int) -> int:
        """How far `context`'s events (or `outcomes`) are read: the next offset, 0 at first."""
        ...

    def resume(self, context: str, partition: int) -> int:
        """Where a reader that starts now goes on; at most the position."""
        ...

    def last_version(self, context: str, aggregate_id: str) -> int:
        """The version of the last event, 0 without events."""
        ...

    def event(self, context: str, aggregate_id: str, version: int) -> EventRecord | None: ...

    def events(
        self, context: str, aggregate_id: str, from_version: int = 1, limit: int | None = None
    ) -> Sequence[EventRecord]:
        """Events from a version on, in order."""
        ...

    def snapshot(self, context: str, aggregate_id: str) -> Snapshot | None:
        """The last one, whether it can be believed or not."""
        ...

    def distrusted(self, context: str, aggregate_id: str) -> bool: ...

    def answer(self, identity: Identity) -> Answer | None:
        """What the identity was answered within the window."""
        ...

    def active(self, partition: int) -> Sequence[str]:
        """The executions of a partition whose last event is no end."""
        ...

    def aggregates(self, context: str, partition: int) -> Sequence[str]:
        """The aggregates of a context that have events in a partition, in no order."""
        ...

    def expire(self, now_ms: int) -> None:
        """Forget answers that are older than the window; each may be known for an hour longer."""
        ...

    @property
    def room(self) -> bool:
        """Whether the reader may go on; where not, what was taken must reach the disk first."""
        ...

    @property
    def full(self) -> bool:
        """Whether the disk has no room: commands must be refused, nothing is lost."""
        ...
