"""Kafka and PostgreSQL of a stack: the configured ones, or embedded ones that are kept running."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import SecretStr

from gateway.settings import Settings
from services.embedded import jars, kafka, postgres
from services.keeper import Keeper, Running
from services.progress import OnProgress, Progress


class Servers:
    """The two servers; `start` fills their addresses into the settings."""

    def __init__(self, settings: Settings, data_dir: Path, on_change: Callable[[], None]) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._on_change = on_change
        self._keepers: list[Keeper] = []

    @property
    def pids(self) -> dict[str, list[int]]:
        """Process ids of the embedded ones."""
        return {keeper.name: keeper.pids for keeper in self._keepers}

    def start(self, on_progress: OnProgress) -> Settings:
        """Start what is not configured, both at once. Raises `Unavailable` (`stack.failed`)."""
        with ThreadPoolExecutor(2) as pool:
            broker = pool.submit(self._kafka, on_progress)
            database = pool.submit(self._postgres, on_progress)
        settings = self._settings
        return settings.model_copy(
            update={
                "kafka": settings.kafka.model_copy(update={"bootstrap": broker.result()}),
                "database": settings.database.model_copy(update=database.result()),
            }
        )

    def stop(self) -> None:
        """End the embedded ones, both at once."""
        if self._keepers:
            with ThreadPoolExecutor(len(self._keepers)) as pool:
                list(pool.map(Keeper.stop, self._keepers))

    def _kafka(self, on_progress: OnProgress) -> str:
        if self._settings.kafka.bootstrap:
            on_progress(Progress(f"using Kafka at {self._settings.kafka.bootstrap}"))
            return self._settings.kafka.bootstrap
        kafka.check_installed()
        class_path = jars.ensure(
            maven_url=self._settings.embedded.maven_url,
            on_start=lambda total: _Download(on_progress, total),
        )
        on_progress(Progress("starting Kafka"))
        # Clients keep the address: a restarted broker comes back on the port it had.
        had: list[int] = []

        def start(_: threading.Event) -> kafka.EmbeddedKafka:
            broker = kafka.start(
                self._data_dir / "kafka",
                port=had[0] if had else None,
                log=self._data_dir / "logs" / "kafka.log",
                class_path=class_path,
            )
            had[:] = [broker.port]
            return broker

        self._keep("kafka", start)
        return f"127.0.0.1:{had[0]}"

    def _postgres(self, on_progress: OnProgress) -> dict[str, SecretStr]:
        if self._settings.database.url:
            on_progress(Progress("using the configured PostgreSQL"))
            return {}
        on_progress(Progress("starting PostgreSQL"))
        had: list[postgres.EmbeddedPostgres] = []

        def start(_: threading.Event) -> postgres.EmbeddedPostgres:
            server = postgres.start(
                self._data_dir / "postgres",
                port=had[0].port if had else None,
                log=self._data_dir / "logs" / "postgres.log",
            )
            had[:] = [server]
            return server

        self._keep("postgres", start)
        return {"url": SecretStr(had[0].url), "data_url": SecretStr(had[0].data_url)}

    def _keep(self, name: str, start: Callable[[threading.Event], Running]) -> None:
        keeper = Keeper(name, start, self._on_change)
        self._keepers.append(keeper)
        keeper.first_start()


class _Download:
    """Adds up the bytes of several threads."""

    def __init__(self, on_progress: OnProgress, total_bytes: int) -> None:
        self._on_progress = on_progress
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._lock = threading.Lock()

    def __call__(self, received_bytes: int) -> None:
        with self._lock:
            self._done_bytes += received_bytes
            self._on_progress(Progress("downloading Kafka", self._done_bytes, self._total_bytes))
