"""Real servers for the tests, one each per session, and isolation per test.

FLEXCORE_TEST_BACKEND = embedded (default) | testcontainers | external
external takes FLEXCORE__KAFKA__BOOTSTRAP and FLEXCORE__DATABASE__URL (a role that may create databases)
"""

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.stack.backends import Backend, choose

# A test run in the background inherits an ignored SIGINT, and so would the programs it interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A deadline per example measures the machine: with other work on its cores good code misses it.
settings.register_profile("flexcore", deadline=None)
settings.load_profile("flexcore")

DEMONSTRATED = frozenset(
    f"tests/e2e/test_{name}.py"
    for name in ("demo", "docs", "one_command", "registry_clients", "ways")
)
"""Those that share the fixture `demonstrated`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that none is left over when all else has been shared out."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


class ByServers(LoadScopeScheduling):
    """Tests that share servers stay in one process; those of the simulation need none."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path.startswith("tests/simulation/"):
            return nodeid
        return "demonstrated" if path in DEMONSTRATED else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """How `-n` shares tests out."""
    return ByServers(config, log)


@pytest.fixture(scope="session")
def stack_folder() -> Iterator[Path]:
    """A folder for servers' data that every account can reach, which pytest's own (0700) is not."""
    folder = Path(tempfile.mkdtemp(prefix="flexcore-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def backend(stack_folder: Path) -> Iterator[Backend]:
    """Where the session's servers come from; each is started when first asked for."""
    with ExitStack() as servers:
        yield choose(os.environ.get("FLEXCORE_TEST_BACKEND", "embedded"), stack_folder, servers)


@pytest.fixture(scope="session")
def kafka(backend: Backend) -> str:
    """Bootstrap address (host:port) of the session's Kafka."""
    return backend.kafka()


@pytest.fixture(scope="session")
def postgres(backend: Backend) -> str:
    """URL of the session's PostgreSQL with the right to create databases and roles."""
    return backend.postgres()


@pytest.fixture
def kafka_prefix(kafka: str) -> Iterator[str]:
    """A prefix for topics and groups that no other test has; its topics are deleted afterwards."""
    from tests.stack.isolation import delete_topics

    prefix = f"t{secrets.token_hex(4)}"
    yield prefix
    delete_topics(kafka, prefix)


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """URL of a fresh, empty database, dropped afterwards."""
    from tests.stack.isolation import create_database, drop_database

    url = create_database(postgres, f"t{secrets.token_hex(4)}")
    yield url
    drop_database(postgres, url)
