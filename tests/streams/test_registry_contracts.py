"""Both registries keep to one contract; the external one here in memory, as its client ships it."""

# pyright: reportPrivateImportUsage=false
# confluent_kafka.admin offers these names without listing them as exported.
import secrets

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streams.confluent_registry import ConfluentRegistry
from streams.connection import Connection
from streams.embedded_registry import EmbeddedRegistry
from streams.registry import Registry
from streams.topics import Topics
from tests.streams.registry_contract import RegistryContract


class TestConfluentRegistry(RegistryContract):
    """`mock://` is the client's own registry in memory."""

    @pytest.fixture
    def registry(self) -> Registry:
        return ConfluentRegistry(Topics(), f"mock://{secrets.token_hex(4)}")


@pytest.mark.kafka
class TestEmbeddedRegistry(RegistryContract):
    """On a real broker, with nothing but its own topic."""

    @pytest.fixture
    def registry(self, kafka: str, kafka_prefix: str) -> Registry:
        topics = Topics(kafka_prefix)
        admin = AdminClient(Connection(kafka).client())
        topic = NewTopic(topics.schemas, 1, 1, config={"cleanup.policy": "compact"})
        for answer in admin.create_topics([topic]).values():
            answer.result()
        return EmbeddedRegistry(Connection(kafka), topics)
