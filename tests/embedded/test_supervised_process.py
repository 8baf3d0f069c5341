"""A supervised child ends when told, when its parent is killed, and never later than that."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from domain.errors import Unavailable
from services.embedded import process
from services.embedded.jars import ROOT
from tests.stack.waiting import until

SLEEPER = [sys.executable, "-c", "import threading; threading.Event().wait()"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, threading\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('deaf', flush=True)\n"
    "threading.Event().wait()",
]


def test_a_child_is_stopped_by_its_signal(tmp_path: Path) -> None:
    child = process.start(SLEEPER, log=tmp_path / "log")
    assert psutil.pid_exists(child.pid)

    assert child.stop() == 128 + signal.SIGTERM

    assert not psutil.pid_exists(child.pid)
    assert child.stop() == 128 + signal.SIGTERM


def test_a_child_that_ignores_its_signal_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    child = process.start(STUBBORN, log=tmp_path / "log", grace_s=0.2)
    until(lambda: process.tail(tmp_path / "log") == "deaf")

    assert child.stop() == 128 + signal.SIGKILL


def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from services.embedded import process\n"
        f"child = process.start({SLEEPER!r}, log=Path(sys.argv[1]))\n"
        "print(child.pid, flush=True)\n"
        "threading.Event().wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "log")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)

        parent.kill()

    until(lambda: not psutil.pid_exists(pid), within_s=5)


def test_exit_code_and_output_reach_us(tmp_path: Path) -> None:
    child = process.start(["sh", "-c", "echo said; exit 71"], log=tmp_path / "log")

    assert child.wait(10) == 71
    assert process.tail(tmp_path / "log") == "said"


def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no-such-program did not start"):
        process.start([tmp_path / "no-such-program"], log=tmp_path / "log")


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("one\ntwo\nthree\n")

    assert process.tail(tmp_path / "log", lines=2) == "two\nthree"
    assert process.tail(tmp_path / "none") == ""
