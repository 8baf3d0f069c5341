"""Services that end with their test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.running_service import RunningService, Start, starter


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts services over one data folder; none outlives its test."""
    started: list[RunningService] = []
    yield starter(tmp_path, started)
    for service in started:
        service.kill()
