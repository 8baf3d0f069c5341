"""Starting a server copes with a lost port and a slow predecessor, and says what else went wrong."""

import sys
from pathlib import Path

import pytest

from domain.errors import Unavailable
from services.embedded import ports, process
from services.embedded.launch import Remedy, Server, Sign, launch

SIGNS = (
    Sign("port taken", "another process took its port", "start again", Remedy.OTHER_PORT),
    Sign("folder in use", "another one uses its data folder", "stop it", Remedy.WAIT),
    Sign("no memory", "it got no memory", "free some"),
)
SERVES = "print('serving', flush=True); threading.Event().wait()"


def server(folder: Path, *lives: str) -> Server:
    """A server whose n-th start runs the n-th text; the last one is kept for all later starts."""
    log = folder / "log"
    started: list[int] = []

    def start(port: int) -> process.Supervised:
        text = lives[min(len(started), len(lives) - 1)]
        started.append(port)
        (folder / "ports").write_text(" ".join(map(str, started)))
        return process.start([sys.executable, "-c", f"import sys, threading; {text}"], log=log)

    def serves(_: process.Supervised, __: int) -> bool:
        return process.tail(log, lines=1) == "serving"

    return Server("the server", log, start, serves, SIGNS, ready_within_s=5)


def tried(folder: Path) -> list[int]:
    """The ports of all starts."""
    return [int(port) for port in (folder / "ports").read_text().split()]


def test_a_server_that_serves_is_returned_with_its_port(tmp_path: Path) -> None:
    usual = ports.pick()

    child, port = launch(server(tmp_path, SERVES), port=None, usual_port=usual)

    assert (port, child.poll()) == (usual, None)
    child.stop()


def test_after_a_lost_port_another_one_is_tried(tmp_path: Path) -> None:
    lost = "sys.exit('port taken')"

    child, port = launch(server(tmp_path, lost, lost, SERVES), port=None, usual_port=None)

    child.stop()
    assert len(tried(tmp_path)) == 3
    assert tried(tmp_path)[-1] == port


def test_a_port_that_was_asked_for_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="the server did not start: another process took"):
        launch(server(tmp_path, "sys.exit('port taken')"), port=ports.pick(), usual_port=None)

    assert len(tried(tmp_path)) == 1


def test_a_predecessor_that_is_still_stopping_is_waited_for(tmp_path: Path) -> None:
    busy = "sys.exit('folder in use')"

    child, _ = launch(server(tmp_path, busy, busy, SERVES), port=None, usual_port=None)

    assert child.poll() is None
    child.stop()


def test_what_the_log_says_becomes_cause_and_fix(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as refused:
        launch(server(tmp_path, "sys.exit('no memory')"), port=None, usual_port=None)

    assert refused.value.code == "stack.failed"
    assert refused.value.fields == {
        "what": "the server did not start",
        "cause": "it got no memory",
        "fix": "free some",
    }


def test_an_end_without_a_known_reason_names_exit_code_and_log(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"exit code 3; look into .*log"):
        launch(server(tmp_path, "sys.exit(3)"), port=None, usual_port=None)


def test_signs_of_an_earlier_run_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("no memory\n")

    with pytest.raises(Unavailable, match="exit code 3"):
        launch(server(tmp_path, "sys.exit(3)"), port=None, usual_port=None)
