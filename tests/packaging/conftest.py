"""One installation for all tests of the wheel."""

from pathlib import Path

import pytest

from tests.packaging.wheel import Installed, build, context, install


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as the Dockerfile builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    return build(context(folder / "context"), folder)


@pytest.fixture(scope="session")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel."""
    return install(wheel, tmp_path_factory.mktemp("installed") / "environment")


@pytest.fixture
def flexcore(programs: Path, tmp_path: Path) -> Installed:
    """FlexCore installed, called from an empty folder."""
    return Installed(programs, tmp_path)
