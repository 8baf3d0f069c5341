"""The stream index (port): what the log holds, by aggregate; derived, so it may always be dropped.

events by (aggregate, version) · answers by command identity, 7 days · how far it has read
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from streams.answers import Answer
from streams.records import EventRecord, Identity

WINDOW_MS = 7 * 24 * 60 * 60 * 1000
"""How long a command's identity is known (the public contract); command topics keep as long."""


class StreamIndex(Protocol):
    """Written by the tailer alone, read by lane, engine and pages from other threads."""

    def append(self, events: Sequence[EventRecord]) -> None:
        """Take events, each of which is its aggregate's next one."""
        ...

    def remember(self, answer: Answer, at_ms: int) -> None:
        """Keep the answer to a command that made no events, unless its identity is known."""
        ...

    def advance(self, context: str, partition: int, position: int) -> None:
        """All of the partition below `position` has been read."""
        ...

    def position(self, context: str, partition: int) -> int:
        """How far `context`'s events (or `outcomes`) are read: the next offset, 0 at first."""
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

    def answer(self, identity: Identity) -> Answer | None:
        """What the identity was answered within the window."""
        ...

    def aggregates(self, context: str, partition: int) -> Iterator[str]:
        """The ids of all aggregates of a partition."""
        ...

    def expire(self, now_ms: int) -> None:
        """Forget answers that are older than the window; each may be known for an hour longer."""
        ...
