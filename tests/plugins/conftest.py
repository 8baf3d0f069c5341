"""A plugin host with hostile steps beside the built-in ones."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugins.builtin import BUILTIN
from plugins.host import PluginHost
from plugins.pool import PluginHostSettings
from tests.plugins import hostile
from tests.plugins.hosting import Hosted

HOSTILE = {
    f"hostile.{name}": f"tests.plugins.hostile:{name}"
    for name, step in vars(hostile).items()
    if not name.startswith("_") and getattr(step, "__module__", "") == hostile.__name__
}
StartHost = Callable[..., Hosted]


@pytest.fixture
def start_host(tmp_path: Path) -> Iterator[StartHost]:
    """Starts hosts with other settings; ends them after the test."""
    started: list[PluginHost] = []
    files = tmp_path / "files"
    files.mkdir()

    def start(**settings: object) -> Hosted:
        chosen = {
            "blobs": tmp_path / "blobs",
            "files_root": files,
            "size": 1,
            "table": {**BUILTIN, **HOSTILE},
            **settings,
        }
        started.append(PluginHost(PluginHostSettings(**chosen)))  # type: ignore[arg-type]  # named by tests
        return Hosted(started[-1], files)

    yield start
    for host in started:
        host.close()


@pytest.fixture
def host(start_host: StartHost) -> Hosted:
    """A host with one child."""
    return start_host()
