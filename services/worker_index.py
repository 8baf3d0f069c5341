"""A worker's stream index: opened, checked against the log, and watched while it is behind.

files ──► of this log? ──► ahead of it anywhere? drop that ──► read on ──► as far as the log was
"""

import shutil
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import structlog

from streams import index_faults
from streams.broker_wait import WITHIN_S, until_answered
from streams.connection import Connection
from streams.following import EVERYWHERE, Following
from streams.kafka_tailer import read_back
from streams.lmdb_stream_index import LmdbStreamIndex
from streams.log_identity import log_identity
from streams.stream_index import StreamIndex
from streams.topics import Topics
from streams.true_ends import true_ends
from streams.turn import Place

log = structlog.get_logger("flexcore.index")

TELL_EVERY_S = 3.0
STANDSTILL_S = 5.0
"""A reader that gets on at all gets on within this; one that does not is the fence's business."""


class _Droppable(StreamIndex, Protocol):
    def drop(self, partition: int, why: str) -> None: ...


def open_index(
    folder: Path,
    connection: Connection,
    topics: Topics,
    partitions: int,
    *,
    everything: bool = True,
) -> tuple[LmdbStreamIndex, Following, "Behind"]:
    """The index of this log in `folder`, what it follows at first, and how far it is behind there.

    Raises Unavailable.
    """
    deadline = time.monotonic() + WITHIN_S
    log_id = until_answered(lambda: log_identity(connection, topics), deadline)
    index = sound_index(folder, partitions, log_id)
    names = read_back(topics)
    asked = [(topic, partition) for topic in names for partition in range(partitions)]
    found = until_answered(lambda: true_ends(connection, asked), deadline)
    ends = {(names[topic], partition): end for (topic, partition), end in found.items()}
    drop_what_the_log_lost(index, ends)
    numbers = range(partitions)
    # What was followed before is most likely to be taken over again; the group will tell.
    first = (
        numbers
        if everything
        else [n for n in numbers if _followed_before(index, names.values(), n)]
    )
    following = Following(first, everything=everything)
    return index, following, Behind(index, ends, following)


def sound_index(folder: Path, partitions: int, log_id: str) -> LmdbStreamIndex:
    """The index, without what ended the process before by a fault."""
    faults = folder.with_suffix(".fault")
    if why := index_faults.blamed(faults):
        log.error("index_dropped", why=f"the last process died in it: {why}")
        shutil.rmtree(folder, ignore_errors=True)
    index_faults.watch(faults)
    return LmdbStreamIndex(folder, partitions=partitions, log_id=log_id)


def _followed_before(index: StreamIndex, names: Iterable[str], partition: int) -> bool:
    return any(index.position(name, partition) > 0 for name in {*names} - {EVERYWHERE})


def drop_what_the_log_lost(index: _Droppable, ends: Mapping[Place, int]) -> None:
    """An unreplicated broker may lose its last records with its power; then others take their place."""
    ahead = {place: end for place, end in ends.items() if index.position(*place) > end}
    for partition in sorted({partition for _, partition in ahead}):
        lost = {context: end for (context, number), end in ahead.items() if number == partition}
        index.drop(partition, f"it had read further than the log reaches: {lost}")


class Behind:
    """How far an index is behind the ends that were there at the start, where it follows them."""

    def __init__(self, index: StreamIndex, ends: Mapping[Place, int], following: Following) -> None:
        self._index = index
        self._following = following
        self._ends = ends
        self._total = self._least = self._left()
        self._moved = time.monotonic()

    def _left(self) -> int:
        return sum(
            max(end - self._index.position(*place), 0)
            for place, end in self._ends.items()
            if place in self._following
        )

    def text(self) -> str:
        """`43 %`, or `current` once it has been read to the end."""
        left = self._left()
        # More than at first, where the group gave it partitions that it had not followed.
        self._total = max(self._total, left)
        return f"{100 * (self._total - left) // self._total} %" if left else "current"

    def catches_up(self) -> bool:
        """Whether it is behind and gets on: then whoever serves its partitions had better go on."""
        left, now = self._left(), time.monotonic()
        if left < self._least:
            self._least, self._moved = left, now
        return left > 0 and now - self._moved < STANDSTILL_S

    def tell(self, ending: threading.Event) -> None:
        """Log the progress while it is behind."""
        before, at = self._left(), time.monotonic()
        while not ending.wait(TELL_EVERY_S):
            left, now = self._left(), time.monotonic()
            if before or left:
                rate = max(before - left, 0) / (now - at)
                eta_s = round(left / rate) if rate else None
                log.info("index_behind", read=self.text(), records_per_s=round(rate), eta_s=eta_s)
            before, at = left, now
