"""The fence on Kafka: does what `fence` asks for, and ends what would keep it waiting for ever."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from confluent_kafka import KafkaException

from domain.errors import Unavailable
from streams.broker_wait import until_answered
from streams.failpoints import Failpoint, reached
from streams.fence import AwaitRead, FenceSlots, Opening, ReadEnds, ReadGroup, ReadStable, fence
from streams.kafka_group import KafkaGroup
from streams.kafka_tailer import KafkaTailer
from streams.kafka_writer import KafkaWriter
from streams.stream_index import OUTCOMES, StreamIndex
from streams.turn import Place

log = structlog.get_logger("flexcore.lane")

HANGING_AFTER_S = 5.0
"""Without any progress; to end what is merely slow does no harm, its ids are shut out first."""
FENCE_WAIT_S = 20.0
"""A broker serves again 3 s after a kill -9; beyond this a new process is the better try."""


@dataclass(frozen=True, eq=False, slots=True)
class Opened:
    """What is to be open now; compared by identity, so that a later opening supersedes it."""

    generation: int
    group: bytes
    places: Collection[Place]


class KafkaFence:
    """Used by one thread at a time."""

    def __init__(
        self,
        index: StreamIndex,
        writer: KafkaWriter,
        group: KafkaGroup,
        tailer: KafkaTailer,
        writer_id: str,
    ) -> None:
        self._index = index
        self._writer = writer
        self._group = group
        self._tailer = tailer
        self._writer_id = writer_id

    def run(
        self, opened: Opened, repairable: Collection[str], check: Callable[[], None]
    ) -> Opening:
        """What may be opened; `check` raises where another rebalance came.

        Raises KafkaException or Unavailable where Kafka does not answer.
        """
        self._writer.connect()
        steps = fence(
            opened.places,
            self._writer_id,
            self._index,
            repairable,
            self._tailer.lacking,
        )
        result: Any = None
        patience = time.monotonic() + HANGING_AFTER_S
        seconds: dict[str, float] = {}
        while True:
            check()
            try:
                action = steps.send(result)
            except StopIteration as done:
                opening: Opening = done.value
                log.info("fence_passed", seconds=seconds)
                return opening
            began = time.monotonic()
            match action:
                case ReadGroup():
                    result = self._answered(partial(self._group.seen, opened.places))
                case FenceSlots():
                    log.warning("fencing", writers=sorted(action.writers))
                    self._group.fence(action.writers)
                case ReadStable():
                    reached(Failpoint.IN_FENCE_AFTER_SLOTS)
                    result = self._group.stable(action.places)
                    if result is None and time.monotonic() > patience:
                        self._end_hanging(opened)
                        patience = time.monotonic() + HANGING_AFTER_S
                case ReadEnds():
                    outcomes = {(OUTCOMES, partition) for _, partition in action.places}
                    wanted = {*action.places, *outcomes}
                    result = self._answered(partial(self.ends, wanted))
                case AwaitRead():
                    self._await_read(action.ends, opened, check)
            seconds[type(action).__name__] = round(time.monotonic() - began, 3)

    def _answered(self, ask: Callable[[], Any]) -> Any:
        """What the group says, asked again while its coordinator or a leader moves."""
        return until_answered(ask, time.monotonic() + FENCE_WAIT_S)

    def ends(self, places: Collection[Place]) -> Mapping[Place, int]:
        """The true end of each place. Raises KafkaException."""
        if not places:
            return {}
        return self._group.ends({place: self._tailer.topic(place) for place in places})

    def _await_read(
        self, ends: Mapping[Place, int], opened: Opened, check: Callable[[], None]
    ) -> None:
        def read() -> int:
            return sum(min(self._index.position(*place), end) for place, end in ends.items())

        far, patience = read(), time.monotonic() + HANGING_AFTER_S
        while not self._tailer.wait_read(lambda: read() == sum(ends.values()), timeout_s=0.5):
            check()
            if (now := read()) > far:
                far, patience = now, time.monotonic() + HANGING_AFTER_S
            elif time.monotonic() > patience:
                self._end_hanging(opened)
                patience = time.monotonic() + HANGING_AFTER_S

    def _end_hanging(self, opened: Opened) -> None:
        """Where nothing moves, it may be a transaction that nobody will ever end."""
        try:
            self._group.end_hanging(opened.places, opened.group, self._writer_id)
        except (KafkaException, Unavailable) as error:
            log.warning("hanging_not_ended", what=str(error))
        # The same ids were initialized: our own producers are of an older epoch now.
        self._writer.discard()
        self._writer.connect()
