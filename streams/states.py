"""The committed states of aggregates: a cache over the index, which alone may be rebuilt from.

cached, or the last snapshot that can be believed ──► events that follow ──► state
"""

from collections.abc import Mapping
from typing import Any

import structlog

from domain.contexts import Context
from domain.errors import Unreadable
from schemas import catalogue
from schemas.codec import Codec
from streams.records import EventRecord
from streams.snapshots import stands_for, state_hash
from streams.stream_index import StreamIndex

log = structlog.get_logger("flexcore.states")

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
        known = self._states.get(key, (0, context.decider.initial))
        if self._index.last_version(context.name, aggregate_id) > known[0]:
            known = self._states[key] = folded(
                self._index, self._codec, context, aggregate_id, known
            )
        return known

    def update(self, committed: Mapping[tuple[str, str], State]) -> None:
        """Take states that are committed and drop old ones, yet none the index does not have."""
        self._states.update(committed)
        if len(self._states) > MAX_STATES:
            for key in list(self._states)[: MAX_STATES // 10]:
                if self._index.last_version(*key) >= self._states[key][0]:
                    del self._states[key]


def folded(
    index: StreamIndex,
    codec: Codec,
    context: Context,
    aggregate_id: str,
    known: State | None = None,
) -> State:
    """The state that the index holds: from `known` or a later snapshot, and what follows it."""
    version, state = known or (0, context.decider.initial)
    found = restored(index, codec, context, aggregate_id)
    if found is not None and found[0] > version:
        version, state = found
    missing = index.events(context.name, aggregate_id, version + 1)
    events = [_decoded(codec, event) for event in missing if event.value is not None]
    return version + len(missing), context.decider.fold(events, state)


def restored(index: StreamIndex, codec: Codec, context: Context, aggregate_id: str) -> State | None:
    """The state of the last snapshot, where it can be believed."""
    snapshot = index.snapshot(context.name, aggregate_id)
    if snapshot is None or snapshot.value is None:
        return None
    event = index.event(context.name, aggregate_id, snapshot.version)
    if event is None or not stands_for(snapshot, event):
        return None
    try:
        cls = catalogue.records()[codec.name_of(snapshot.value)].cls
        if snapshot.state_hash != state_hash(context.name, cls):
            return None
        return snapshot.version, codec.decode(snapshot.value)
    except Unreadable as error:
        log.warning("snapshot_unreadable", aggregate=aggregate_id, what=str(error))
        return None


def _decoded(codec: Codec, event: EventRecord) -> Any:
    try:
        return codec.decode(event.value or b"")
    except Unreadable as error:
        # Whoever wrote this event, the command that meets it is not to blame.
        what = f"event {event.version} of {event.aggregate_id!r} cannot be read: {error}"
        raise RuntimeError(what) from error
