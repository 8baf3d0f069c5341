"""The three services as their containers run them: from the wheel, with nothing but environment variables."""

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.embedded import ports
from services.installation import ROOT
from tests.packaging.wheel import Installed
from tests.stack.waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

READY_WITHIN_S = 120.0
STOPPED_WITHIN_S = 25.0
"""Compose gives 30 s."""
ROLES = ("worker", "projector", "api")


@dataclass(frozen=True)
class Service:
    """A running service, and where its pages are."""

    url: str
    process: "subprocess.Popen[str]"
    log: Path

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False


@pytest.fixture
def configured(
    flexcore: Installed, kafka: str, kafka_prefix: str, database: str, tmp_path: Path
) -> Installed:
    """As in the compose file: secrets by file, pages on every address, each process told its own port."""
    secret = tmp_path / "database_url"
    secret.write_text(f"{database}\n")
    files = tmp_path / "files"
    files.mkdir()
    (files / "temps.csv").write_text("city,temp\nOslo,3\nRome,17\n")
    free = [str(ports.pick()) for _ in ROLES]
    return flexcore.with_settings(
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONSAFEPATH="1",
        FLEXCORE__DATA_DIR=str(tmp_path / "state"),
        FLEXCORE__FILES__ROOT=str(files),
        FLEXCORE__KAFKA__BOOTSTRAP=kafka,
        FLEXCORE__KAFKA__PREFIX=kafka_prefix,
        FLEXCORE__KAFKA__PARTITIONS="2",
        FLEXCORE__DATABASE__URL_FILE=str(secret),
        FLEXCORE__WORKER__WEB_HOST="0.0.0.0",
        FLEXCORE__WORKER__ADVERTISED_HOST="localhost",
        FLEXCORE__WORKER__WEB_PORT=free[0],
        FLEXCORE__PROJECTOR__WEB_HOST="0.0.0.0",
        FLEXCORE__PROJECTOR__ADVERTISED_HOST="localhost",
        FLEXCORE__PROJECTOR__WEB_PORT=free[1],
        FLEXCORE__API__PORT=free[2],
    )


@pytest.fixture
def services(configured: Installed, tmp_path: Path) -> Iterator[dict[str, Service]]:
    """Topics and tables are made once, then the three are started at the same time."""
    for prepared in (("topics", "apply"), ("database", "migrate")):
        ran = configured.run(*prepared)
        assert ran.returncode == 0, ran.stderr
    with ExitStack() as started:
        found = {}
        for role in ROLES:
            log = tmp_path / f"{role}.log"
            process = configured.start(role, log=log)
            started.callback(process.wait)
            started.callback(process.kill)
            port = "FLEXCORE__API__PORT" if role == "api" else f"FLEXCORE__{role.upper()}__WEB_PORT"
            found[role] = Service(f"http://localhost:{configured.settings[port]}", process, log)
        yield found


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def test_they_get_ready_run_a_pipeline_and_end_when_told_to(
    configured: Installed, services: dict[str, Service]
) -> None:
    before = installed_files(configured)
    for service in services.values():
        until(service.is_ready, within_s=READY_WITHIN_S)

    run_id = run_of_a_pipeline(configured)

    # The api reads a stream from the worker, by the address that this one advertises.
    api = services["api"].url
    events = get(f"{api}/v1/streams/execution/{run_id}/events")["items"]
    assert events[-1]["type"] == "ExecutionCompleted"
    tables = configured.run("table", "get", "executions", run_id, "-o", "json")
    assert json.loads(tables.stdout)["value"]["status"] == "succeeded"
    for page, answer in ((f"{api}/livez", 0), (f"{api}/nowhere", 1), ("http://127.0.0.1:1/", 1)):
        probe = configured.run("-m", "services.probe", page, program="python")
        assert probe.returncode == answer, probe.stdout

    assert installed_files(configured) == before
    assert {path.name for path in configured.cwd.iterdir() if path.suffix != ".log"} == {
        *("database_url", "files", "state", "temps.yaml")
    }
    for service in services.values():
        # No library and no file of the clone's environment.
        assert f"{ROOT}/" not in Path(f"/proc/{service.process.pid}/maps").read_text()
        service.process.send_signal(signal.SIGTERM)
    codes = {role: one.process.wait(STOPPED_WITHIN_S) for role, one in services.items()}
    assert codes == dict.fromkeys(ROLES, 0)


def run_of_a_pipeline(configured: Installed) -> str:
    """The id of a run that has succeeded."""
    read = {"id": "read", "uses": "flexcore.csv_read", "with": {"path": "temps.csv"}}
    pipeline = {"pipeline_id": "temps", "name": "Temperatures", "steps": [read]}
    (configured.cwd / "temps.yaml").write_text(json.dumps(pipeline))
    for command in (("create", "-f", "temps.yaml"), ("activate", "temps")):
        ran = configured.run("pipeline", *command)
        assert ran.returncode == 0, ran.stderr
    run = configured.run("pipeline", "execute", "temps", "--wait", "60", "-o", "json")
    assert run.returncode == 0, run.stderr
    ended = json.loads(run.stdout)
    assert (ended["status"], ended["output"]["read"]["count"]) == ("succeeded", 2)
    return str(ended["execution_id"])


def installed_files(configured: Installed) -> set[Path]:
    """All that a container's root file system would have to hold; bytecode is made beforehand there."""
    found = configured.programs.parent.rglob("*")
    return {path for path in found if "__pycache__" not in path.parts}


def test_a_projector_whose_tables_are_missing_says_which_command_makes_them(
    configured: Installed,
) -> None:
    assert configured.run("topics", "apply").returncode == 0

    ran = configured.run("projector")

    assert (ran.returncode, "flexcore database migrate" in ran.stderr + ran.stdout) == (6, True)
