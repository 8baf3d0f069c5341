"""The locks: complete, hashed, naming no host, and one version of everything."""

import itertools
import tomllib

import pytest
from packaging.requirements import Requirement

from services.embedded.jars import ROOT

LOCKS = [
    "requirements.lock",
    *(f"tools/{name}.lock" for name in ("boot", "build", "hadolint", "image")),
]


def pins(lock: str) -> dict[str, str]:
    """Version of each package of a lock."""
    return {
        name: version
        for name, _, version in (
            line.split(" ")[0].partition("==")
            for line in (ROOT / lock).read_text().splitlines()
            if "==" in line and not line.startswith((" ", "#"))
        )
    }


PINS, IMAGE_PINS = pins("requirements.lock"), pins("tools/image.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SERVICES: list[str] = PROJECT["project"]["dependencies"]
EMBEDDED: list[str] = PROJECT["project"]["optional-dependencies"]["embedded"]
DEV: list[str] = PROJECT["dependency-groups"]["dev"]


@pytest.mark.parametrize("text", [*SERVICES, *EMBEDDED, *DEV])
def test_what_the_project_asks_for_is_locked(text: str) -> None:
    requirement = Requirement(text)

    assert requirement.specifier.contains(PINS[requirement.name.lower()]), "run tools/lock.sh"


@pytest.mark.parametrize("text", SERVICES)
def test_what_the_services_need_is_in_the_image(text: str) -> None:
    assert Requirement(text).name.lower() in IMAGE_PINS, "run tools/lock.sh"


def test_the_image_has_the_versions_that_were_checked_and_no_embedded_servers() -> None:
    assert IMAGE_PINS.items() <= PINS.items(), "run tools/lock.sh"
    assert {Requirement(text).name for text in EMBEDDED} & IMAGE_PINS.keys() == set()


@pytest.mark.parametrize("lock", [*LOCKS, "kafka.lock.json"])
def test_a_lock_names_no_host(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    lines = (ROOT / lock).read_text().splitlines()

    for line, following in itertools.pairwise(lines):
        assert "==" not in line or line.startswith("#") or "--hash=sha256:" in following
