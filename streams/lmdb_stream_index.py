"""The stream index in LMDB: one environment per partition number, written by a thread of its own.

    <folder>/index.json   the mark
    <folder>/3/data.mdb   partition 3 of every context's events, and of the outcomes

It is derived from the log. Whatever is wrong with the files, they are dropped and the log is read
again; a full disk only holds the reader up.
"""

import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from streams import lmdb_mark
from streams.answers import Answer
from streams.exit_codes import EXIT_INTERNAL
from streams.lmdb_environment import MAP_BYTES, MAX_MAP_BYTES, Environment, IndexFull
from streams.lmdb_form import FORMAT
from streams.lmdb_mark import Mark
from streams.lmdb_partition import LmdbPartition
from streams.records import EventRecord, Identity
from streams.snapshots import Snapshot
from streams.stream_index import HOUR_MS, WINDOW_MS, Damaged
from streams.topics import MIB, partition_of

log = structlog.get_logger("flexcore.index")

WRITE_EVERY_S = 0.25
"""Larger transactions write fewer pages; what is lost in a crash is read again from the log."""
PENDING_BYTES = 64 * MIB
"""About 20,000 events; the reader waits beyond. Half of it is written at once."""
RETRY_S = 1.0
PAUSE_S = 0.002
"""Between two steps of forgetting: new events must not wait for the end of it."""


class LmdbStreamIndex:
    """Open at once; `close` brings all of it to the disk."""

    def __init__(
        self,
        folder: Path,
        *,
        partitions: int,
        log_id: str,
        boot: str | None = None,
        map_bytes: int = MAP_BYTES,
        max_map_bytes: int = MAX_MAP_BYTES,
        write_every_s: float = WRITE_EVERY_S,
    ) -> None:
        """`log_id` tells this log from any other; files of another one are dropped."""
        self.log_id = log_id
        self._folder = folder
        self._sizes = map_bytes, max_map_bytes
        self._every_s = write_every_s
        known = f"format {FORMAT}, {partitions} partitions, {log_id}"
        self._mark = Mark(known, lmdb_mark.boot_id() if boot is None else boot, clean=False)
        why = lmdb_mark.why_not(folder, known, self._mark.boot)
        if why:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        lmdb_mark.write(folder, self._mark)
        damaged: dict[int, str] = {}
        self._partitions = [self._opened(number, damaged) for number in range(partitions)]
        log.info("index_opened", kept=not why, why=why or "it is whole", damaged=damaged)
        self._full = False
        self._closing = threading.Event()
        self._much = threading.Event()
        self._writer = threading.Thread(target=self._run, name="index", daemon=True)
        self._writer.start()

    def _opened(self, number: int, damaged: dict[int, str]) -> LmdbPartition:
        folder = self._folder / str(number)
        try:
            return LmdbPartition(self._environment(folder, number))
        except Damaged as error:
            damaged[number] = str(error)
            shutil.rmtree(folder)
            return LmdbPartition(self._environment(folder, number))

    def _environment(self, folder: Path, number: int) -> Environment:
        map_bytes, max_map_bytes = self._sizes
        return Environment(folder, number, map_bytes=map_bytes, max_map_bytes=max_map_bytes)

    def drop(self, partition: int, why: str) -> None:
        """Forget a partition, which must be read again; before the tailer starts."""
        log.warning("index_partition_dropped", partition=partition, why=why)
        self._partitions[partition].close()
        shutil.rmtree(self._folder / str(partition))
        self._partitions[partition] = self._opened(partition, {})

    def close(self) -> None:
        """Write what is pending and mark the files as whole."""
        self._closing.set()
        self._much.set()
        self._writer.join()
        try:
            self.flush()
        except IndexFull as error:
            log.warning("index_closed_early", what=str(error))
        for partition in self._partitions:
            partition.close()
        lmdb_mark.write(self._folder, replace(self._mark, clean=True))

    # ── taking ───────────────────────────────────────────────────────────────────────────

    def append(self, events: Sequence[EventRecord]) -> None:
        if events:
            self._partitions[events[0].partition].append(events)

    def replace(self, event: EventRecord) -> None:
        self._partitions[event.partition].replace(event)

    def remember(self, answer: Answer, at_ms: int) -> None:
        self._of(answer.identity.aggregate_id).remember(answer, at_ms)

    def keep(self, snapshot: Snapshot) -> None:
        self._partitions[snapshot.partition].keep(snapshot)

    def distrust(self, context: str, aggregate_id: str) -> None:
        self._of(aggregate_id).distrust(context, aggregate_id)

    def advance(
        self, context: str, partition: int, position: int, resume: int | None = None
    ) -> None:
        start = position if resume is None else resume
        self._partitions[partition].advance(context, position, start)
        if not self._much.is_set() and self._size() > PENDING_BYTES / 2:
            self._much.set()

    @property
    def room(self) -> bool:
        return self._size() < PENDING_BYTES

    @property
    def full(self) -> bool:
        return self._full

    def _size(self) -> int:
        return sum(partition.size for partition in self._partitions)

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def position(self, context: str, partition: int) -> int:
        return self._partitions[partition].position(context)

    def resume(self, context: str, partition: int) -> int:
        return self._partitions[partition].resume(context)

    def last_version(self, context: str, aggregate_id: str) -> int:
        return self._of(aggregate_id).last_version(context, aggregate_id)

    def event(self, context: str, aggregate_id: str, version: int) -> EventRecord | None:
        if version < 1:
            return None
        return self._of(aggregate_id).event(context, aggregate_id, version)

    def events(
        self, context: str, aggregate_id: str, from_version: int = 1, limit: int | None = None
    ) -> Sequence[EventRecord]:
        first = max(from_version, 1)
        return self._of(aggregate_id).events(context, aggregate_id, first, limit)

    def snapshot(self, context: str, aggregate_id: str) -> Snapshot | None:
        return self._of(aggregate_id).snapshot(context, aggregate_id)

    def distrusted(self, context: str, aggregate_id: str) -> bool:
        return self._of(aggregate_id).distrusted(context, aggregate_id)

    def answer(self, identity: Identity) -> Answer | None:
        return self._of(identity.aggregate_id).answer(identity)

    def active(self, partition: int) -> Sequence[str]:
        return self._partitions[partition].active()

    def aggregates(self, context: str, partition: int) -> Sequence[str]:
        return self._partitions[partition].aggregates(context)

    def _of(self, aggregate_id: str) -> LmdbPartition:
        return self._partitions[partition_of(aggregate_id, len(self._partitions))]

    # ── writing ──────────────────────────────────────────────────────────────────────────

    def flush(self) -> None:
        """Write all that may be written. Raises IndexFull."""
        for partition in self._partitions:
            while partition.write():
                pass

    def expire(self, now_ms: int) -> None:
        before_hour = (now_ms - WINDOW_MS) // HOUR_MS
        for partition in self._partitions:
            partition.forget(before_hour)
        try:
            for partition in self._partitions:
                while partition.expire(before_hour) and not self._closing.wait(PAUSE_S):
                    pass
        except IndexFull as error:
            # Some is known for longer; the writer says so and the next call goes on.
            log.warning("answers_not_expired", what=str(error))

    def _run(self) -> None:
        try:
            while not self._closing.wait(RETRY_S if self._full else 0):
                self._much.wait(self._every_s)
                self._much.clear()
                if not self._closing.is_set():
                    self._write()
        except Exception:
            # Without its writer the index would fill the memory: better a restart.
            log.exception("index_died")
            os._exit(EXIT_INTERNAL)

    def _write(self) -> None:
        try:
            for partition in self._partitions:
                partition.write()
        except IndexFull as error:
            if not self._full:
                log.error("index_full", what=str(error))  # noqa: TRY400 - the message says it all
            self._full = True
            return
        if self._full:
            log.info("index_has_room_again")
        self._full = False
