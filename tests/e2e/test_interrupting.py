"""Ctrl-C ends what runs in the foreground, cleanly and with everything it had started."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.embedded.jars import ROOT

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder that PostgreSQL's account can reach."""
    folder = Path(tempfile.mkdtemp(prefix="flexcore-e2e-"))
    folder.chmod(0o755)
    yield folder / ".flexcore"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("when", "exit_code"), [("starting worker", 130), ("The stack stays up", 0)]
)
def test_an_interrupted_demo_leaves_no_process_and_no_traceback(
    data_dir: Path, when: str, exit_code: int
) -> None:
    with subprocess.Popen(
        ["./flexcore", "demo", "--data-dir", str(data_dir)],
        cwd=ROOT,
        env={**os.environ, "FLEXCORE__API__PORT": "0", "FLEXCORE__PROJECTOR__WEB_PORT": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stderr is not None
        assert any(when in line for line in demo.stderr), when
        started = psutil.Process(demo.pid).children(recursive=True)
        assert started

        os.killpg(demo.pid, signal.SIGINT)

        said = demo.stderr.read()
        assert demo.wait(60) == exit_code
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(started, timeout=30)
    assert alive == []
    assert not (data_dir / "endpoints.json").exists()
