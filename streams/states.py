"""The committed states of aggregates: a cache over the index, which alone may be rebuilt from."""

from collections.abc import Mapping
from typing import Any

from domain.contexts import Context
from domain.errors import Unreadable
from schemas.codec import Codec
from streams.records import EventRecord
from streams.stream_index import StreamIndex

MAX_STATES = 10_000
"""Cached aggregates, 20 MB at 2 KiB each; one that was dropped is folded again in 0.1 ms."""

State = tuple[int, Any]
"""(version, state)"""


class States:
    """Used by the lane's thread alone."""

    def __init__(self, index: StreamIndex, codec: Codec) -> None:
        self._index = index
        self._codec = codec
        self._states: dict[tuple[str, str], State] = {}

    def get(self, context: Context, aggregate_id: str) -> State:
        """What is cached, brought up to what the index has read."""
        key = context.name, aggregate_id
        version, state = self._states.get(key, (0, context.decider.initial))
        indexed = self._index.last_version(context.name, aggregate_id)
        if indexed > version:
            missing = self._index.events(context.name, aggregate_id, version + 1)
            events = [self._decoded(event) for event in missing if event.value is not None]
            version, state = version + len(missing), context.decider.fold(events, state)
            self._states[key] = version, state
        return version, state

    def update(self, committed: Mapping[tuple[str, str], State]) -> None:
        """Take states that are committed and drop old ones, yet none the index does not have."""
        self._states.update(committed)
        if len(self._states) > MAX_STATES:
            for key in list(self._states)[: MAX_STATES // 10]:
                if self._index.last_version(*key) >= self._states[key][0]:
                    del self._states[key]

    def _decoded(self, event: EventRecord) -> Any:
        try:
            return self._codec.decode(event.value or b"")
        except Unreadable as error:
            # Whoever wrote this event, the command that meets it is not to blame.
            what = f"event {event.version} of {event.aggregate_id!r} cannot be read: {error}"
            raise RuntimeError(what) from error
