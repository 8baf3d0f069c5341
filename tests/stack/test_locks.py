"""The locks: complete, hashed, and naming no host."""

import itertools
import tomllib

import pytest
from packaging.requirements import Requirement

from services.embedded.jars import ROOT

PINS = {
    name: version
    for name, _, version in (
        line.split(" ")[0].partition("==")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    )
}


def wanted() -> list[str]:
    """Everything pyproject.toml asks for, to run and to check with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[str] = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    return found


@pytest.mark.parametrize("text", wanted())
def test_what_the_project_asks_for_is_locked(text: str) -> None:
    requirement = Requirement(text)

    assert requirement.specifier.contains(PINS[requirement.name.lower()]), "run tools/lock.sh"


@pytest.mark.parametrize("lock", ["requirements.lock", "tools/boot.lock", "kafka.lock.json"])
def test_a_lock_names_no_host(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()


@pytest.mark.parametrize("lock", ["requirements.lock", "tools/boot.lock"])
def test_every_pin_has_hashes(lock: str) -> None:
    lines = (ROOT / lock).read_text().splitlines()

    for line, following in itertools.pairwise(lines):
        assert "==" not in line or line.startswith("#") or "--hash=sha256:" in following
