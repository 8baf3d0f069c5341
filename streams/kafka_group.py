"""What the fence asks of Kafka: the group's commits and members, and true ends of partitions."""

from collections.abc import Collection, Mapping

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from domain.contexts import CONTEXTS
from streams.commit_metadata import CommitMetadata, parse
from streams.connection import Connection
from streams.fence import GroupSeen
from streams.hanging import end_hanging, stuck
from streams.kafka_writer import transactional_ids, transactional_producer
from streams.topics import Topics
from streams.true_ends import true_ends
from streams.turn import Place

log = structlog.get_logger("flexcore.group")

ASK_TIMEOUT_S = 5.0
STABLE_TIMEOUT_S = 1.0
"""A pending transaction answers as a time-out; then its writer is looked for and fenced."""


class KafkaGroup:
    """The worker group as others see it; needs no membership."""

    def __init__(self, connection: Connection, topics: Topics) -> None:
        self._connection = connection
        self._topics = topics

    def seen(self, places: Collection[Place]) -> GroupSeen:
        """Last commits, pending or not, and the live members' ids. Raises KafkaException."""
        committed = self._committed(places, "read_uncommitted", ASK_TIMEOUT_S)
        group = self._topics.worker_group
        # A new client each time: one whose broker was killed may time out for ever.
        admin = AdminClient(self._connection.client())
        described = admin.describe_consumer_groups([group], request_timeout=ASK_TIMEOUT_S)
        # A worker's client id is its writer id.
        members = {member.client_id for member in described[group].result().members}
        return GroupSeen({place: parse(p.metadata) for place, p in committed.items()}, members)

    def stable(
        self, places: Collection[Place]
    ) -> Mapping[Place, tuple[int, CommitMetadata]] | None:
        """Committed offsets with no transaction pending on them, else `None`."""
        try:
            committed = self._committed(places, "read_committed", STABLE_TIMEOUT_S)
        except KafkaException:
            return None
        if any(partition.error for partition in committed.values()):
            return None
        return {
            place: (max(partition.offset, 0), parse(partition.metadata))
            for place, partition in committed.items()
        }

    def fence(self, writers: Collection[str]) -> None:
        """Shut out writers that are gone and abort what they left open. Raises KafkaException."""
        for writer in writers:
            for transactional_id in transactional_ids(writer):
                transactional_producer(self._connection, transactional_id)

    def end_hanging(self, places: Collection[Place], group: bytes, own: str) -> None:
        """End transactions that hang on these places, whoever's they are. Raises KafkaException."""
        partitions = stuck(self._connection, self._topics, places)
        known = self.seen(self._everything())
        writers = {own, *(m.transactional_id for m in known.metadata.values()), *known.members}
        offsets = self._committed(places, "read_uncommitted", ASK_TIMEOUT_S).values()
        again = [
            TopicPartition(one.topic, one.partition, max(one.offset, 0), one.metadata)
            for one in offsets
        ]
        ids = [i for writer in sorted(filter(None, writers)) for i in transactional_ids(writer)]
        log.error("transactions_hang", partitions=partitions, ids=ids)
        end_hanging(self._connection, partitions, again, group, ids)

    def _everything(self) -> set[Place]:
        listed = AdminClient(self._connection.client()).list_topics(timeout=ASK_TIMEOUT_S)
        topics = {context: listed.topics[self._topics.commands(context)] for context in CONTEXTS}
        return {(context, n) for context, topic in topics.items() for n in topic.partitions}

    def ends(self, topic_partitions: Mapping[Place, str]) -> Mapping[Place, int]:
        """The true end of each place. Raises KafkaException."""
        ends = true_ends(
            self._connection, [(topic, place[1]) for place, topic in topic_partitions.items()]
        )
        return {place: ends[topic, place[1]] for place, topic in topic_partitions.items()}

    def _committed(
        self, places: Collection[Place], isolation: str, timeout_s: float
    ) -> dict[Place, TopicPartition]:
        # read_committed makes librdkafka ask with RequireStable, which aiokafka does not know.
        consumer = Consumer(
            self._connection.client(
                group_id=self._topics.worker_group,
                isolation_level=isolation,
                enable_auto_commit=False,
            )
        )
        try:
            asked = [
                TopicPartition(self._topics.commands(context), partition)
                for context, partition in places
            ]
            answered = consumer.committed(asked, timeout_s)
        finally:
            consumer.close()
        return dict(zip(places, answered, strict=True))
