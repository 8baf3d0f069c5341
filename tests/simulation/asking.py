"""What the fence asks of Kafka: `KafkaGroup` on the model."""

from collections.abc import Collection, Mapping

from streams import commit_metadata
from streams.commit_metadata import CommitMetadata
from streams.fence import GroupSeen
from streams.kafka_writer import transactional_ids
from streams.turn import Place
from tests.simulation.broker import Broker
from tests.simulation.places import log_of
from tests.simulation.writer import Steps, Writer

Stable = Mapping[Place, tuple[int, CommitMetadata]]


class Asking:
    """The worker group as others see it."""

    def __init__(self, broker: Broker, writer: Writer) -> None:
        self.broker = broker
        self._writer = writer

    def seen(self, places: Collection[Place]) -> GroupSeen:
        metadata = {place: metadata for place, (_, metadata) in self.committed(places).items()}
        return GroupSeen(metadata, set(self.broker.group.members.values()))

    def stable(self, places: Collection[Place]) -> Stable | None:
        pending = any(self.broker.pending(place) for place in places)
        return None if pending else self.committed(places)

    def committed(self, places: Collection[Place]) -> Stable:
        """The last commits, whether a transaction will change them or not."""
        found = {place: self.broker.group.offsets.get(place, (0, "")) for place in places}
        return {place: (at, commit_metadata.parse(text)) for place, (at, text) in found.items()}

    def fence(self, writers: Collection[str]) -> Steps:
        for writer in sorted(writers):
            for transactional_id in transactional_ids(writer):
                yield from self._writer.initialize(transactional_id)

    def end(self, place: Place) -> int:
        """The true end."""
        return self.broker.log(log_of(place)).end
