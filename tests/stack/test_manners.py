"""How a stack refuses to start, and how it ends."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from domain.errors import Unavailable
from gateway.cli.problems import explained
from gateway.settings import Settings, read
from services import cli
from services.detached import start_detached
from services.dev import read_endpoints, start_stack
from services.environment import of_children
from services.progress import silent
from services.roles import refusal_of
from tests.faults.mounted import mounted
from tests.stack.test_dev import FAKES, nothing_to_prepare
from tests.stack.waiting import until

ENDS_WITHIN_S = 25.0
SMALL_MB = 40
"""Less than PostgreSQL and Kafka need for an empty stack."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's account can reach."""
    found = Path(tempfile.mkdtemp(prefix="flexcore-manners-"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.mark.parametrize("starts", [start_stack, start_detached])
def test_a_folder_that_cannot_be_written_is_named(starts: object, folder: Path) -> None:
    (folder / "file").touch()

    with pytest.raises(Unavailable) as refused:
        starts(Settings(), data_dir=folder / "file" / "d", on_progress=silent)  # type: ignore[operator]

    what, cause, fix = explained(refused.value).splitlines()
    assert what.startswith(f"error[stack.failed]: {folder}/file/d")
    assert what.endswith(" cannot be written")
    assert cause == "cause: Not a directory"
    assert fix.startswith("fix:   make it writable, or choose another folder")


def test_a_folder_that_cannot_be_one_has_no_stack_to_stop(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "file").touch()

    assert cli.run(["stop", "--data-dir", str(folder / "file" / "d")]) == 0
    assert "no stack was running" in capsys.readouterr().err


@pytest.mark.slow
def test_a_disk_without_room_is_named_and_nothing_is_left_running(folder: Path) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with mounted(folder / "small", SMALL_MB) as small:
        if not small:
            pytest.skip("no file system may be mounted here, so that none can be full")
        with pytest.raises(Unavailable) as refused:
            start_stack(
                Settings(),
                data_dir=folder / "small" / "d",
                on_progress=silent,
                roles=FAKES[:1],
                prepare=nothing_to_prepare,
            )

    assert refused.value.code == "stack.failed"
    assert "No space left on device" in refused.value.message or "full" in refused.value.message
    until(lambda: {child.pid for child in psutil.Process().children(recursive=True)} <= before)


@pytest.mark.kafka
@pytest.mark.postgres
def test_ports_that_are_taken_are_passed_over(kafka: str, postgres: str, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = read(
            {
                "FLEXCORE__KAFKA__BOOTSTRAP": kafka,
                "FLEXCORE__DATABASE__URL": postgres,
                "FLEXCORE__API__PORT": str(port),
                "FLEXCORE__PROJECTOR__WEB_PORT": str(port),
            }
        )
        with start_stack(
            settings,
            data_dir=folder,
            on_progress=silent,
            roles=FAKES,
            prepare=nothing_to_prepare,
        ) as stack:
            urls = {stack.endpoints.api, stack.endpoints.projector}

    assert len(urls) == 2
    assert f"http://127.0.0.1:{port}" not in urls


def test_a_service_that_refuses_to_start_is_quoted_with_its_fix() -> None:
    line = (
        '{"event": "cannot_start", "code": "x", "what": "cannot listen on 127.0.0.1:1",'
        ' "cause": "Address already in use", "fix": "stop what uses it"}'
    )

    assert refusal_of(line) == (
        "cannot listen on 127.0.0.1:1: Address already in use",
        "stop what uses it",
    )
    assert refusal_of("Killed") is None
    assert refusal_of('{"event": "crashed"}') is None
    assert refusal_of("") is None


# ── its end ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def dev(
    kafka: str, kafka_prefix: str, database: str, folder: Path
) -> Iterator["subprocess.Popen[str]"]:
    """`flexcore dev` in the foreground, ready."""
    settings = read(
        {
            "FLEXCORE__KAFKA__BOOTSTRAP": kafka,
            "FLEXCORE__KAFKA__PREFIX": kafka_prefix,
            "FLEXCORE__KAFKA__PARTITIONS": "2",
            "FLEXCORE__DATABASE__URL": database,
            "FLEXCORE__API__PORT": "0",
            "FLEXCORE__PROJECTOR__WEB_PORT": "0",
        }
    )
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "dev", "--data-dir", str(folder / "d")],
            env=of_children(settings, folder / "secrets"),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            text=True,
        )

    def is_ready() -> bool:
        assert process.poll() is None, (folder / "said").read_text()
        return "ready; Ctrl-C ends it" in (folder / "said").read_text()

    try:
        until(is_ready, within_s=200)
        yield process
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.slow
def test_ctrl_c_ends_a_stack_with_0_and_leaves_nothing(
    dev: "subprocess.Popen[str]", folder: Path
) -> None:
    pids = [pid for some in read_endpoints(folder / "d").pids.values() for pid in some]

    dev.send_signal(signal.SIGINT)

    assert dev.wait(ENDS_WITHIN_S) == 0
    said = (folder / "said").read_text()
    assert said.endswith("stopping\n")
    assert "Traceback" not in said
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.slow
def test_a_second_ctrl_c_ends_it_now_and_its_children_follow(
    dev: "subprocess.Popen[str]", folder: Path
) -> None:
    pids = [pid for some in read_endpoints(folder / "d").pids.values() for pid in some]
    # One service cannot end in order: what waits for it would wait on.
    os.kill(pids[0], signal.SIGSTOP)

    dev.send_signal(signal.SIGINT)
    until(lambda: "stopping" in (folder / "said").read_text())
    dev.send_signal(signal.SIGINT)

    assert dev.wait(5) == 130
    assert "Traceback" not in (folder / "said").read_text()
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), within_s=ENDS_WITHIN_S)
