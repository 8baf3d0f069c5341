"""A FlexCore in memory per test, and no settings of whoever runs the tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.served import Served, served


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own settings would lead the command line elsewhere."""
    for name in list(os.environ):
        if name.startswith("FLEXCORE__"):
            monkeypatch.delenv(name)


@pytest.fixture
def flexcore(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    """A running FlexCore without pipelines."""
    with served(tmp_path, capsys) as found:
        yield found
