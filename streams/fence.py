"""The fence: what must be known and done before a worker may write to its partitions. No I/O.

    ReadGroup → FenceSlots → ReadStable ⟲ → ReadEnds → AwaitRead → Opening

A generator of actions, each answered by the driver. Order is everything: dead writers are shut out
first, offsets are stable next, and only then is the end taken up to which the log must be read.
"""

from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from streams.commit_metadata import CommitMetadata
from streams.stream_index import StreamIndex
from streams.topics import parse_event_key
from streams.turn import Place


@dataclass(frozen=True, slots=True)
class ReadGroup:
    """→ GroupSeen: metadata of the last commits, pending or not, and the members' ids."""

    places: Collection[Place]


@dataclass(frozen=True, slots=True)
class GroupSeen:
    metadata: Mapping[Place, CommitMetadata]
    members: Collection[str]


@dataclass(frozen=True, slots=True)
class FenceSlots:
    """Initialize the transactional ids of writers that are gone. → anything"""

    writers: Collection[str]


@dataclass(frozen=True, slots=True)
class ReadStable:
    """→ {place: (next offset, CommitMetadata)}, or `None` while a transaction is pending."""

    places: Collection[Place]


@dataclass(frozen=True, slots=True)
class ReadEnds:
    """→ {place: true end} of the events of each place, and of the outcomes."""

    places: Collection[Place]


@dataclass(frozen=True, slots=True)
class AwaitRead:
    """Wait until the index has read up to these ends. → anything"""

    ends: Mapping[Place, int]


Action = ReadGroup | FenceSlots | ReadStable | ReadEnds | AwaitRead


@dataclass(frozen=True, slots=True)
class Opening:
    """`broken` places lack an event, named by its key: they stay closed, loudly."""

    offsets: Mapping[Place, int]
    last_keys: Mapping[Place, str]
    broken: Mapping[Place, str]


def fence(
    places: Collection[Place],
    own_id: str,
    index: StreamIndex,
    repairable: Collection[str] = (),
    lacking: Callable[[Place], str] = lambda _: "",
) -> Generator[Action, Any, Opening]:
    """Drive with `send(result)`; the return value is what the lane may open.

    `repairable` are the keys of events that the lane holds and would write again; `lacking` tells
    the key of an event that the log of a place turned out to lack while it was read.
    """
    fenced = {own_id, ""}
    while True:
        seen: GroupSeen = yield ReadGroup(places)
        writers = {metadata.transactional_id for metadata in seen.metadata.values()}
        gone = writers - set(seen.members) - fenced
        if gone:
            # A writer that died in mid-transaction holds back what readers may see.
            yield FenceSlots(frozenset(gone))
            fenced |= gone
        stable: Mapping[Place, tuple[int, CommitMetadata]] | None = yield ReadStable(places)
        if stable is not None:
            break
    ends: Mapping[Place, int] = yield ReadEnds(places)
    yield AwaitRead(ends)
    named = {place: metadata.last_event_key for place, (_, metadata) in stable.items()}
    torn = {place: key for place in places if (key := lacking(place))}
    if torn:
        # Perhaps a transaction of a later generation, read in part: then the log has the rest.
        ends = yield ReadEnds(places)
        yield AwaitRead(ends)
        torn = {place: key for place, key in torn.items() if lacking(place) == key}
    missing = {
        place: torn.get(place, "") if _holds(index, place, key) else key
        for place, key in named.items()
    }
    broken = {place: key for place, key in missing.items() if key and key not in repairable}
    sound = {place: found for place, found in stable.items() if place not in broken}
    return Opening(
        offsets={place: offset for place, (offset, _) in sound.items()},
        last_keys={place: metadata.last_event_key for place, (_, metadata) in sound.items()},
        broken=broken,
    )


def _holds(index: StreamIndex, place: Place, key: str) -> bool:
    if not key:
        return True
    try:
        aggregate_id, version = parse_event_key(key.encode())
    except ValueError:
        return False
    return index.last_version(place[0], aggregate_id) >= version
