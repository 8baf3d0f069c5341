"""Three ways to a Kafka and a PostgreSQL for the tests; each server starts when first asked for."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Backend(Protocol):
    """Gives the session's servers; the same answer on every call is the fixtures' business."""

    def kafka(self) -> str:
        """Bootstrap address, host:port."""
        ...

    def postgres(self) -> str:
        """URL of a role that may create databases."""
        ...


@dataclass(frozen=True, slots=True)
class Embedded:
    """The product's own embedded servers, on free ports, with settings for quick restarts."""

    folder: Path
    servers: ExitStack

    def kafka(self) -> str:
        """Start the embedded Kafka."""
        from services.embedded import kafka, kafka_config

        broker = kafka.start(self.folder / "kafka", usual_port=None, tuning=kafka_config.FOR_TESTS)
        self.servers.callback(broker.stop)
        return broker.bootstrap

    def postgres(self) -> str:
        """Start the embedded PostgreSQL, without fsync."""
        from services.embedded import postgres

        server = postgres.start(self.folder / "postgres", usual_port=None, durable=False)
        self.servers.callback(server.stop)
        return server.admin_url


@dataclass(frozen=True, slots=True)
class Testcontainers:
    """The images of docker-compose.kafka.yml in containers; needs Docker."""

    servers: ExitStack

    def kafka(self) -> str:
        """Start a Kafka container."""
        from testcontainers.kafka import KafkaContainer

        from services.embedded.kafka_config import SETTINGS

        container = KafkaContainer("confluentinc/cp-kafka:8.1.0").with_kraft()
        for name, value in SETTINGS.items():
            container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
        self.servers.enter_context(container)
        return str(container.get_bootstrap_server())

    def postgres(self) -> str:
        """Start a PostgreSQL container."""
        from testcontainers.postgres import PostgresContainer

        container = self.servers.enter_context(PostgresContainer("postgres:18", driver=None))
        return str(container.get_connection_url())


@dataclass(frozen=True, slots=True)
class External:
    """Servers that run already, named by FlexCore's own settings."""

    def kafka(self) -> str:
        """The configured bootstrap address."""
        return os.environ["FLEXCORE__KAFKA__BOOTSTRAP"]

    def postgres(self) -> str:
        """The configured URL."""
        return os.environ["FLEXCORE__DATABASE__URL"]


def choose(name: str, folder: Path, servers: ExitStack) -> Backend:
    """The backend of that name; raises `ValueError`."""
    match name:
        case "embedded":
            return Embedded(folder, servers)
        case "testcontainers":
            return Testcontainers(servers)
        case "external":
            return External()
        case _:
            raise ValueError(
                f"FLEXCORE_TEST_BACKEND is {name!r}; it must be embedded, testcontainers or external"
            )
