"""An index whose damage ends its process is dropped by the next one; other faults are not its fault."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streams.index_faults import blamed

STORY = """
import ctypes, os, sys
from pathlib import Path
from services.worker_index import sound_index
from tests.streams.test_lmdb_stream_index import event, take

folder, part = Path(sys.argv[1]), sys.argv[2]
index = sound_index(folder, 1, "log")
print(index.position("pipeline", 0), flush=True)
if part != "look":
    take(index, *(event(version, size=1_000) for version in range(1, 3_000)))
    index.flush()
if part == "damage":
    os.truncate(folder / "0" / "data.mdb", 8_192)
    index.events("pipeline", "a")
if part == "die":
    ctypes.string_at(0)
os._exit(0)
"""


def process(folder: Path, part: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", STORY, str(folder), part],
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_ended_its_process_is_not_opened_again(tmp_path: Path) -> None:
    folder = tmp_path / "2"

    damaged = process(folder, "damage")
    assert damaged.returncode == -signal.SIGBUS, damaged.stderr
    assert blamed(tmp_path / "2.fault") == "Fatal Python error: Bus error"

    looked = process(folder, "look")
    assert (looked.returncode, looked.stdout.splitlines()[-1]) == (0, "0")
    assert "index_dropped" in looked.stdout + looked.stderr
    assert blamed(tmp_path / "2.fault") == ""


def test_a_page_that_is_not_there_is_the_indexs_wherever_it_was_read(tmp_path: Path) -> None:
    file = tmp_path / "0.fault"
    file.write_text("Fatal Python error: Bus error\n\nCurrent thread 0x1:\n  <no Python frame>\n")
    assert blamed(file) == "Fatal Python error: Bus error"


def test_a_fault_elsewhere_leaves_the_index_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "2"

    died = process(folder, "die")
    assert died.returncode == -signal.SIGSEGV
    assert (tmp_path / "2.fault").read_text().startswith("Fatal Python error")

    assert process(folder, "look").stdout.splitlines()[-1] == "3000"


@pytest.mark.parametrize("text", ["", "nonsense", "Fatal Python error: Aborted\n\nCurrent thread"])
def test_a_file_that_says_nothing_blames_nobody(tmp_path: Path, text: str) -> None:
    file = tmp_path / "0.fault"
    assert blamed(file) == ""
    file.write_text(text)
    assert blamed(file) == ""
