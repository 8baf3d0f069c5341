"""When pipelines run by themselves: the next time of each that is active and has a schedule.

events of pipelines ──► look (once the index has read so far) ──► next times ──► FireSchedule
"""

import heapq
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import structlog

from domain.contexts import CONTEXTS
from domain.definition import Definition
from domain.pipeline.pipeline import (
    FireSchedule,
    Pipeline,
    PipelineActivated,
    PipelineArchived,
    PipelineCreated,
    PipelinePaused,
    PipelineRevised,
    PipelineScheduleFired,
)
from domain.schedule import next_time
from schemas import catalogue
from schemas.codec import Codec
from streams.records import NAMESPACE, text
from streams.states import folded
from streams.stream_index import StreamIndex
from streams.topics import partition_of
from streams.verdicts import InternalCommand

log = structlog.get_logger("flexcore.engine")

CONTEXT = "pipeline"
MAX_LOOKS = 100
"""Pipelines at a time, 0.1 ms each: steps that are due must not wait for thousands of them."""
LOOK_AGAIN = timedelta(milliseconds=50)
"""The index reads an event milliseconds after its commit."""

_IDLE = frozenset(
    catalogue.full_names()[cls] for cls in (PipelineCreated, PipelinePaused, PipelineArchived)
)
"""Nothing is due after these, whatever was before."""
_NO_STEPS = Definition(())
FEW_TIMES = 100


def concerns_schedule(event: Any) -> bool:
    """Whether a time may come to wait for; what ends the waiting is found when the time has come."""
    if isinstance(event, PipelineRevised):
        return event.schedule is not None
    return isinstance(event, PipelineActivated | PipelineScheduleFired)


class Schedules:
    """What is kept here is a reading of the index, so it may be dropped and read again at any time.

    Used by the engine's thread alone.
    """

    def __init__(self, index: StreamIndex, codec: Codec, partitions: int) -> None:
        self._index = index
        self._codec = codec
        self._partitions = partitions
        self._unread: list[int] = []
        self._looks: dict[str, int] = {}
        self._known: dict[str, tuple[int, Pipeline]] = {}
        self._times: list[tuple[datetime, str, int]] = []
        self._again: datetime | None = None

    def own(self, numbers: Iterable[int]) -> None:
        """Look at all pipelines of these partitions, and at no others, from the next `due` on."""
        self._unread = list(numbers)
        self._looks, self._known, self._times = {}, {}, []

    def look(self, pipeline_id: str, version: int) -> None:
        """A pipeline has got an event."""
        self._looks[pipeline_id] = max(version, self._looks.get(pipeline_id, 0))

    @property
    def next(self) -> list[datetime]:
        """When there is something to do next; empty where there is nothing."""
        times = [at for at, _, _ in self._times[:1]]
        return [*times, self._again] if self._again is not None else times

    def due(self, now: datetime) -> list[InternalCommand]:
        """The commands for the times that have come.

        What gets lost of them is made up for at a pipeline's next time, or by the next owner: what
        is due is decided by the pipeline itself.
        """
        self._read()
        self._again = now + LOOK_AGAIN if self._unread or self._looks else None
        commands = []
        while self._times and self._times[0][0] <= now:
            at, pipeline_id, version = heapq.heappop(self._times)
            known, pipeline = self._known.get(pipeline_id, (0, None))
            if known != version or pipeline is None or pipeline.schedule is None:
                continue
            if self._index.last_version(CONTEXT, pipeline_id) > version:
                # Paused, or revised, without a word to us.
                self.look(pipeline_id, version)
                self._again = now + LOOK_AGAIN
                continue
            commands.append(self._command(pipeline_id, version, at))
            following = next_time(pipeline.schedule, now)
            heapq.heappush(self._times, (following, pipeline_id, version))
        return commands

    def _read(self) -> None:
        while self._unread and len(self._looks) < MAX_LOOKS:
            for pipeline_id in self._index.aggregates(CONTEXT, self._unread.pop()):
                self.look(pipeline_id, 1)
        for pipeline_id, version in list(islice(self._looks.items(), MAX_LOOKS)):
            if self._index.last_version(CONTEXT, pipeline_id) < version:
                # Behind the others: its event is still to be read.
                self._looks[pipeline_id] = self._looks.pop(pipeline_id)
                continue
            del self._looks[pipeline_id]
            try:
                self._look(pipeline_id)
            except (RuntimeError, ValueError):
                # An event or a zone that this release cannot read; the others go on.
                log.exception("schedule_unreadable", pipeline_id=pipeline_id)

    def _look(self, pipeline_id: str) -> None:
        version = self._index.last_version(CONTEXT, pipeline_id)
        last = self._index.event(CONTEXT, pipeline_id, version)
        known = self._known.pop(pipeline_id, None)
        if last is None or last.type in _IDLE:
            return
        version, state = folded(self._index, self._codec, CONTEXTS[CONTEXT], pipeline_id, known)
        at = state.next_run_at() if isinstance(state, Pipeline) else None
        if at is not None:
            # Steps may be many, and are not asked for here.
            slim = replace(state, description="", definition=_NO_STEPS)
            self._known[pipeline_id] = version, slim
            heapq.heappush(self._times, (at, pipeline_id, version))
            self._purge()

    def _purge(self) -> None:
        """Forget times of earlier versions, once they are the greater part."""
        if len(self._times) > 2 * len(self._known) + FEW_TIMES:
            self._times = [one for one in self._times if self._known.get(one[1], (0,))[0] == one[2]]
            heapq.heapify(self._times)

    def _command(self, pipeline_id: str, version: int, at: datetime) -> InternalCommand:
        """The same one for the same time, whoever gives it."""
        last = self._index.event(CONTEXT, pipeline_id, version)
        command_id = uuid.uuid5(NAMESPACE, f"{CONTEXT}/{pipeline_id}/schedule/{at.isoformat()}")
        return InternalCommand(
            CONTEXT,
            partition_of(pipeline_id, self._partitions),
            pipeline_id,
            FireSchedule(pipeline_id, at),
            command_id,
            # Of its own: what one time brings about has nothing to do with the next.
            str(command_id),
            "" if last is None else text(last.headers, "ce_id"),
        )
