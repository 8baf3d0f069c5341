"""Handlers in a worker as users run it: what it refuses at the start, and what a crash leaves."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.agents.handling import Log, until
from tests.projections.history import pipeline
from tests.projections.running import ROOT, free_port

TELL = """
import asyncio, os
from pathlib import Path
from agents.handlers import Event, on

FILE = Path(os.environ["TOLD"])

@on("PipelineCreated", "PipelineActivated", "PipelineRevised", from_start=True)
async def tell(event: Event) -> None:
    with FILE.open("a") as file:
        file.write(f"{event.aggregate_id} {event.version}\\n")
    while os.environ.get("HANGS") == f"{event.version}":
        await asyncio.sleep(0.1)
"""


def environment(folder: Path, **settings: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if "FLEXCORE" not in name},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
        "FLEXCORE__HANDLERS__MODULES": "acme_tell",
        "FLEXCORE__DATA_DIR": str(folder / "data"),
        "TOLD": str(folder / "told"),
        **settings,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no handler"),
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("from agents.handlers import on\n@on('Nothing')\nasync def tell(event): ...", "nearest"),
    ],
)
def test_a_worker_refuses_to_start_with_one_clear_error(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "acme_tell.py").write_text(text)
    nowhere = environment(tmp_path, FLEXCORE__KAFKA__BOOTSTRAP="127.0.0.1:1")
    ran = subprocess.run(
        [sys.executable, "-m", "services.worker"],
        env=nowhere,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 7, ran.stderr
    (line,) = ran.stderr.splitlines()
    told = json.loads(line)
    assert told["code"] == "handler.invalid"
    assert said in line


@contextmanager
def working(folder: Path, log: Log, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker with the handlers in `acme_tell`; it is ready when this is entered."""
    (folder / "acme_tell.py").write_text(TELL)
    port = free_port()
    own = environment(
        folder,
        FLEXCORE__KAFKA__BOOTSTRAP=log.bootstrap,
        FLEXCORE__KAFKA__PREFIX=log.written.topics.prefix,
        FLEXCORE__WORKER__WEB_PORT=str(port),
        **settings,
    )
    with (folder / "worker.log").open("ab") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "services.worker"], env=own, stdout=out, stderr=out
        )

    def ready() -> bool:
        assert worker.poll() is None, (folder / "worker.log").read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                partitions: int = json.loads(answer.read())["handlers"]["tell"]["partitions"]
                return partitions == log.written.partitions
        except OSError:
            return False

    try:
        until(ready, "ready")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert b'flexcore_handler_behind{handler="tell"}' in answer.read()
        yield worker
    finally:
        worker.kill()
        worker.wait()


def told(folder: Path) -> list[str]:
    file = folder / "told"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.kafka
@pytest.mark.slow
def test_an_event_whose_worker_died_comes_again_and_one_that_is_done_does_not(
    kafka: str, kafka_prefix: str, tmp_path: Path
) -> None:
    log = Log.make(kafka, kafka_prefix)
    (one,) = log.ids(0, 1)
    with working(tmp_path, log, HANGS="2") as worker:
        log.append(one, pipeline(one))
        until(lambda: told(tmp_path) == [f"{one} 1", f"{one} 2"], "told")
        until(lambda: log.committed("tell")[0] == 1, "committed")
        os.kill(worker.pid, signal.SIGSTOP)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    with working(tmp_path, log) as worker:
        until(lambda: len(told(tmp_path)) >= 4, "told again")
        worker.terminate()
        assert worker.wait(30) == 0
    assert told(tmp_path) == [f"{one} {version}" for version in (1, 2, 2, 3)]
    with working(tmp_path, log):
        log.append(one, pipeline(one)[2:], first=4)
        until(lambda: len(told(tmp_path)) >= 5, "told")
    assert told(tmp_path)[4:] == [f"{one} 4"]
