"""Whether events lie in the log that nobody may see yet: a transaction is under way.

end with read_committed (last stable offset) < end with read_uncommitted
"""

# pyright: reportPrivateImportUsage=false
# confluent_kafka.admin offers these names without listing them as exported.
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from domain.contexts import CONTEXTS
from streams.connection import Connection
from streams.topics import Topics

WITHIN_S = 5.0


class OpenTransactions:
    """Looks at the event topics."""

    def __init__(self, connection: Connection, topics: Topics, partitions: int) -> None:
        self._admin = AdminClient(connection.client())
        self._places = [
            TopicPartition(topics.events(context), number)
            for context in CONTEXTS
            for number in range(partitions)
        ]

    def seen(self) -> list[str]:
        """Partitions with events of an open transaction. Raises KafkaException."""
        # The stable ends first: what is committed between the two only looks open, so that a
        # caller must have stopped the writer before.
        stable = self._ends(IsolationLevel.READ_COMMITTED)
        true = self._ends(IsolationLevel.READ_UNCOMMITTED)
        return [place for place, end in true.items() if stable[place] < end]

    def _ends(self, isolation: IsolationLevel) -> dict[str, int]:
        latest = OffsetSpec.latest()
        assert latest is not None
        futures = self._admin.list_offsets(
            dict.fromkeys(self._places, latest),
            isolation_level=isolation,
            request_timeout=WITHIN_S,
        )
        return {f"{p.topic}/{p.partition}": f.result().offset for p, f in futures.items()}
