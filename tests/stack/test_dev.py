"""The stack as `dev` runs it: addresses published, processes kept running, nothing left behind."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from domain.errors import Unavailable
from gateway.settings import Settings, read
from services.detached import start_detached
from services.dev import Stack, read_endpoints, start_stack, stop_stack
from services.embedded import ports
from services.embedded.jars import ROOT
from services.environment import of_children, python_path
from services.progress import Progress, silent
from services.roles import Role, answers_ready
from services.status import status_of
from tests.stack.waiting import until

FAKES = tuple(
    Role(name, "tests.stack.fake_role", "FAKE_PORT") for name in ("worker", "projector", "api")
)


def nothing_to_prepare(_: Settings) -> None:
    """Topics and tables are other tests' business."""


def leave(url: str, code: int) -> None:
    """Make a fake end with this exit code."""
    with contextlib.suppress(http.client.RemoteDisconnected):
        http.client.HTTPConnection(url.removeprefix("http://")).request("POST", f"/exit/{code}")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder that PostgreSQL's account can reach."""
    folder = Path(tempfile.mkdtemp(prefix="flexcore-dev-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(kafka: str, postgres: str) -> Settings:
    """The session's servers, so that a test pays for fakes only."""
    return read({"FLEXCORE__KAFKA__BOOTSTRAP": kafka, "FLEXCORE__DATABASE__URL": postgres})


@pytest.fixture
def start(settings: Settings, data_dir: Path) -> Iterator[Callable[[], Stack]]:
    """Starts a stack of fakes, ended with the test."""
    started: list[Stack] = []

    def start_fakes() -> Stack:
        stack = start_stack(
            settings,
            data_dir=data_dir,
            on_progress=silent,
            roles=FAKES,
            prepare=nothing_to_prepare,
        )
        started.append(stack)
        return stack

    yield start_fakes
    for stack in started:
        stack.stop()


@pytest.mark.kafka
@pytest.mark.postgres
def test_endpoints_tell_where_everything_is(start: Callable[[], Stack], data_dir: Path) -> None:
    stack = start()

    written = json.loads((data_dir / "endpoints.json").read_text())
    assert stat.S_IMODE((data_dir / "endpoints.json").stat().st_mode) == 0o600
    assert {"kafka", "registry", "api", "worker", "projector", "database", "pids"} <= written.keys()
    assert written["registry"] == written["api"] + "/registry"
    assert all(answers_ready(written[role.name]) for role in FAKES)
    assert read_endpoints(data_dir) == stack.endpoints
    assert all(part.ready for part in status_of(data_dir))


@pytest.mark.kafka
@pytest.mark.postgres
def test_a_killed_service_comes_back_and_its_new_pid_is_published(
    start: Callable[[], Stack], data_dir: Path
) -> None:
    start()
    old = read_endpoints(data_dir).pids["worker"]

    os.kill(old[0], signal.SIGKILL)

    until(lambda: read_endpoints(data_dir).pids["worker"] not in (old, []))
    assert answers_ready(read_endpoints(data_dir).worker)


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.parametrize("code", [70, 71])
def test_a_service_that_asks_for_a_restart_gets_one(
    start: Callable[[], Stack], data_dir: Path, code: int
) -> None:
    start()
    old = read_endpoints(data_dir).pids["api"]

    leave(read_endpoints(data_dir).api, code)

    until(lambda: read_endpoints(data_dir).pids["api"] not in (old, []))


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.parametrize("code", [0, 2])
def test_a_service_that_ended_for_good_stays_down(
    start: Callable[[], Stack], data_dir: Path, code: int
) -> None:
    start()

    leave(read_endpoints(data_dir).api, code)

    until(lambda: read_endpoints(data_dir).pids["api"] == [])
    assert not status_of(data_dir)[-1].ready


@pytest.mark.kafka
@pytest.mark.postgres
def test_a_second_stack_on_the_same_folder_is_refused(
    start: Callable[[], Stack], data_dir: Path
) -> None:
    start()

    with pytest.raises(Unavailable, match=f"process {os.getpid()} runs one there"):
        start()

    assert read_endpoints(data_dir).kafka


@pytest.mark.kafka
@pytest.mark.postgres
def test_a_detached_stack_says_why_it_does_not_start(
    start: Callable[[], Stack], settings: Settings, data_dir: Path
) -> None:
    start()

    with pytest.raises(Unavailable, match=f"process {os.getpid()} runs one there") as refused:
        start_detached(settings, data_dir=data_dir, on_progress=silent)

    assert refused.value.fields["fix"]


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.slow
def test_a_detached_stack_goes_on_until_it_is_stopped(
    settings: Settings, data_dir: Path, kafka_prefix: str, database: str
) -> None:
    own = read(
        {
            "FLEXCORE__KAFKA__BOOTSTRAP": settings.kafka.bootstrap or "",
            "FLEXCORE__KAFKA__PREFIX": kafka_prefix,
            "FLEXCORE__DATABASE__URL": database,
        }
    )
    steps: list[Progress] = []

    started = start_detached(own, data_dir=data_dir, on_progress=steps.append)

    pids = [pid for some in started.pids.values() for pid in some]
    assert [part.role for part in status_of(data_dir) if not part.ready] == []
    assert len(pids) == 3
    assert steps
    assert stop_stack(data_dir) is True
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.kafka
@pytest.mark.postgres
def test_a_stopped_stack_leaves_no_process_and_no_endpoints(
    start: Callable[[], Stack], data_dir: Path
) -> None:
    stack = start()
    pids = [pid for some in stack.endpoints.pids.values() for pid in some]

    stack.stop()

    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(Unavailable, match="no stack is running"):
        read_endpoints(data_dir)
    assert stop_stack(data_dir) is False


@pytest.mark.kafka
@pytest.mark.postgres
def test_a_service_that_cannot_start_is_named_with_its_last_words(
    settings: Settings, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_EXIT", "1")

    with pytest.raises(Unavailable, match=r"did not start.*exit code 1 \(leaving with 1\)"):
        start_stack(
            settings,
            data_dir=data_dir,
            on_progress=silent,
            roles=FAKES[:1],
            prepare=nothing_to_prepare,
        )

    assert stop_stack(data_dir) is False


@pytest.mark.kafka
def test_a_database_that_is_away_is_said_so_and_nothing_stays(
    kafka: str, kafka_prefix: str, data_dir: Path
) -> None:
    url = f"postgresql://nobody:hidden@127.0.0.1:{ports.pick()}/none"
    settings = read(
        {
            "FLEXCORE__KAFKA__BOOTSTRAP": kafka,
            "FLEXCORE__KAFKA__PREFIX": kafka_prefix,
            "FLEXCORE__DATABASE__URL": url,
        }
    )

    with pytest.raises(Unavailable, match="FLEXCORE__DATABASE__URL") as refused:
        start_stack(settings, data_dir=data_dir, on_progress=silent, roles=FAKES)

    assert "hidden" not in refused.value.message
    assert stop_stack(data_dir) is False


@pytest.mark.kafka
@pytest.mark.postgres
def test_everything_dies_with_a_stack_that_is_killed(settings: Settings, data_dir: Path) -> None:
    script = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from gateway.settings import read\n"
        "from services.dev import start_stack\n"
        "from services.progress import silent\n"
        "from tests.stack.test_dev import FAKES, nothing_to_prepare\n"
        "stack = start_stack(read(), data_dir=Path(sys.argv[1]), on_progress=silent,\n"
        "                    roles=FAKES, prepare=nothing_to_prepare)\n"
        "print('ready', flush=True)\n"
        "stack.wait()\n"
    )
    environment = of_children(settings, data_dir / "secrets")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(data_dir)], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        pids = [pid for some in read_endpoints(data_dir).pids.values() for pid in some]

        process.kill()

    assert len(pids) == len(FAKES)
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.slow
def test_without_settings_the_stack_brings_its_own_servers_and_restarts_them(
    data_dir: Path,
) -> None:
    steps: list[Progress] = []
    with start_stack(
        Settings(),
        data_dir=data_dir,
        on_progress=steps.append,
        roles=FAKES[:1],
        prepare=nothing_to_prepare,
    ) as stack:
        before = stack.endpoints
        os.kill(before.pids["kafka"][0], signal.SIGKILL)
        os.kill(before.pids["postgres"][0], signal.SIGKILL)

        until(
            lambda: all(
                stack.endpoints.pids[name] not in (before.pids[name], [])
                for name in ("kafka", "postgres")
            ),
            within_s=30,
        )

        assert stack.endpoints.kafka == before.kafka
        assert stack.endpoints.database == before.database
        with psycopg.connect(stack.endpoints.database) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("flexcore",)
    assert {"starting Kafka", "starting PostgreSQL"} <= {step.text for step in steps}


def test_children_get_secrets_by_file_and_never_in_the_environment(tmp_path: Path) -> None:
    url = "postgresql://u:hidden@h/d"
    environment = of_children(read({"FLEXCORE__DATABASE__URL": url}), tmp_path / "secrets")

    assert not any("hidden" in value for value in environment.values())
    secret = Path(environment["FLEXCORE__DATABASE__URL_FILE"])
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert read(environment).database.url == read({"FLEXCORE__DATABASE__URL": url}).database.url


@pytest.mark.parametrize("hosts", ["", "intranet.example:8080,10.0.0.1"])
def test_children_have_the_settings_that_we_have(tmp_path: Path, hosts: str) -> None:
    settings = read(
        {
            "FLEXCORE__STEPS__HTTP_HOSTS": hosts,
            "FLEXCORE__STEPS__KAFKA__SASL_PASSWORD": "hidden",
            "FLEXCORE__WORKER__STANDBY": "2",
        }
    )
    assert read(of_children(settings, tmp_path / "secrets")) == settings


def test_children_import_our_packages_before_all_others() -> None:
    path = python_path({"PYTHONPATH": f"/elsewhere{os.pathsep}"})["PYTHONPATH"]

    assert path == f"{ROOT}{os.pathsep}/elsewhere"
