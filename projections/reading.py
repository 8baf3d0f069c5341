"""What stands on an event topic, as arrivals in order, or as unfit with the reason."""

from dataclasses import dataclass
from typing import Any

from domain.errors import Unreadable
from schemas.codec import Codec
from streams.faust_host import Batch
from streams.order import Arrived
from streams.topics import parse_event_key, partition_of


@dataclass(frozen=True, slots=True)
class Unfit:
    """A record that is no event of its topic; `why` goes into the dead letter."""

    record: Any
    why: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the event topic of one context; each event is decoded once for all projections."""

    context: str
    events: tuple[type, ...]
    codec: Codec
    partitions: int

    def read(self, batch: Batch) -> tuple[list[Arrived], list[Unfit]]:
        """The batch's events in offset order, and what is none."""
        arrived: list[Arrived] = []
        unfit: list[Unfit] = []
        for record in batch.records:
            one = self._read(record)
            if isinstance(one, Arrived):
                arrived.append(one)
            else:
                unfit.append(one)
        return arrived, unfit

    def _read(self, record: Any) -> Arrived | Unfit:
        try:
            aggregate_id, version = parse_event_key(record.key or b"")
        except ValueError:
            return Unfit(record, "the key is not <aggregate id>#<version, 12 digits>")
        if partition_of(aggregate_id, self.partitions) != record.partition:
            return Unfit(record, f"{aggregate_id!r} belongs to another partition")
        if record.value is None:
            return Arrived(aggregate_id, version, record.offset, None)
        try:
            event = self.codec.decode(record.value)
        except Unreadable as error:
            return Unfit(record, error.message)
        if not isinstance(event, self.events):
            return Unfit(record, f"{type(event).__name__} is no event of {self.context}")
        return Arrived(aggregate_id, version, record.offset, event)
