"""How a stack refuses to start."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import Unavailable
from gateway.cli.problems import explained
from gateway.settings import Settings, read
from services import cli
from services.detached import start_detached
from services.dev import start_stack
from services.progress import silent
from services.roles import refusal_of
from tests.stack.test_dev import FAKES, nothing_to_prepare


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
