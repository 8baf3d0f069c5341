"""What LMDB's index does that no other needs to: outlive its process, or not; fill a disk; be hurt."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from streams.lmdb_environment import Environment, IndexFull
from streams.lmdb_stream_index import LmdbStreamIndex
from streams.records import EventRecord, Identity
from streams.stream_index import WINDOW_MS, Damaged
from tests.streams.lmdb_files import kill

KIB = 1024


def event(version: int, aggregate_id: str = "a", size: int = 10) -> EventRecord:
    headers = {
        "ce_commandid": f"c{version}".encode(),
        "ce_txnindex": b"0",
        "ce_txncount": b"1",
    }
    value = random.Random(version).randbytes(size)
    return EventRecord("pipeline", aggregate_id, version, 0, version, 0, value, headers)


def opened(
    folder: Path,
    *,
    log_id: str = "log",
    boot: str = "boot",
    partitions: int = 1,
    map_bytes: int = 1 << 30,
    max_map_bytes: int = 1 << 40,
    write_every_s: float = 3_600.0,
) -> LmdbStreamIndex:
    return LmdbStreamIndex(
        folder,
        partitions=partitions,
        log_id=log_id,
        boot=boot,
        map_bytes=map_bytes,
        max_map_bytes=max_map_bytes,
        write_every_s=write_every_s,
    )


def take(index: LmdbStreamIndex, *events: EventRecord) -> None:
    """Append and advance, as the tailer does."""
    index.append(events)
    index.advance("pipeline", 0, events[-1].offset + 1)


def filled(folder: Path, count: int = 3) -> LmdbStreamIndex:
    """An index that has written `count` events."""
    index = opened(folder)
    take(index, *(event(version) for version in range(1, count + 1)))
    index.flush()
    return index


# ── what outlives the process ────────────────────────────────────────────────────────────


def test_a_closed_index_is_kept_whatever_the_machine_did(tmp_path: Path) -> None:
    filled(tmp_path).close()
    with closing(opened(tmp_path, boot="another")) as index:
        assert index.events("pipeline", "a") == [event(1), event(2), event(3)]
        assert index.position("pipeline", 0) == 4


@pytest.mark.parametrize(
    ("log_id", "boot", "kept"),
    [
        ("log", "boot", True),
        ("log", "another", False),
        ("log", "", False),
        ("other", "boot", False),
    ],
    ids=["same boot", "another boot", "a system that tells none", "another log"],
)
def test_a_killed_index_is_kept_in_the_same_boot_and_log_alone(
    tmp_path: Path, log_id: str, boot: str, kept: bool
) -> None:
    kill(filled(tmp_path))
    with closing(opened(tmp_path, log_id=log_id, boot=boot)) as index:
        assert index.last_version("pipeline", "a") == (3 if kept else 0)
        assert index.position("pipeline", 0) == (4 if kept else 0)


def test_an_index_of_another_partition_count_is_dropped(tmp_path: Path) -> None:
    filled(tmp_path).close()
    with closing(opened(tmp_path, partitions=2)) as index:
        assert index.position("pipeline", 0) == 0


def test_an_index_that_was_closed_once_is_unclean_while_it_is_open_again(tmp_path: Path) -> None:
    filled(tmp_path).close()
    kill(opened(tmp_path))
    with closing(opened(tmp_path, boot="another")) as index:
        assert index.last_version("pipeline", "a") == 0


def test_what_was_not_written_is_read_again_from_the_position_that_was(tmp_path: Path) -> None:
    index = filled(tmp_path)
    take(index, event(4))
    kill(index)
    with closing(opened(tmp_path)) as again:
        assert (again.last_version("pipeline", "a"), again.position("pipeline", 0)) == (3, 4)


def test_events_are_not_written_without_the_position_behind_them(tmp_path: Path) -> None:
    """Else a new process would know them, and never answer their commands."""
    index = filled(tmp_path)
    index.append([event(4)])
    index.flush()
    assert index.last_version("pipeline", "a") == 4
    kill(index)
    with closing(opened(tmp_path)) as again:
        assert (again.last_version("pipeline", "a"), again.position("pipeline", 0)) == (3, 4)


def test_a_partition_that_is_dropped_is_read_again_and_no_other(tmp_path: Path) -> None:
    with closing(opened(tmp_path, partitions=2)) as index:
        for partition in (0, 1):
            index.advance("outcomes", partition, 7)
        index.drop(1, "a test wants it")
        assert [index.position("outcomes", partition) for partition in (0, 1)] == [7, 0]


_WRITER = """
import sys
from pathlib import Path
from tests.streams.test_lmdb_stream_index import event, opened, take
index = opened(Path(sys.argv[1]), write_every_s=0.001)
for version in range(1, 1_000_000):
    take(index, event(version))
    if version == 500:
        # Its thread may not have had a turn yet.
        index.flush()
        print("running", flush=True)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_a_whole_index(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert any("running" in line for line in writer.stdout)
        writer.send_signal(signal.SIGKILL)
    with closing(opened(tmp_path)) as index:
        last = index.last_version("pipeline", "a")
        assert last > 0
        assert index.position("pipeline", 0) == last + 1
        assert [e.version for e in index.events("pipeline", "a")] == list(range(1, last + 1))
        assert index.answer(Identity("pipeline", "a", f"c{last}")) is not None


# ── its thread ───────────────────────────────────────────────────────────────────────────


def test_what_is_taken_reaches_the_files_by_itself(tmp_path: Path) -> None:
    index = opened(tmp_path, write_every_s=0.001)
    take(index, event(1))
    written = index._partitions[0]
    while written.size:
        threading.Event().wait(0.001)
    kill(index)
    with closing(opened(tmp_path)) as again:
        assert again.last_version("pipeline", "a") == 1


def test_memory_that_waits_for_the_disk_is_bounded_by_room(tmp_path: Path) -> None:
    with closing(opened(tmp_path, write_every_s=3_600)) as index:
        assert index.room
        index._partitions[0]._writing.acquire()
        version = 0
        while index.room:
            version += 1
            take(index, event(version, size=1 << 20))
        assert version < 100
        index._partitions[0]._writing.release()
        index.flush()
        assert index.room


# ── the map and the disk ─────────────────────────────────────────────────────────────────


def test_the_map_grows_while_others_read(tmp_path: Path) -> None:
    with closing(opened(tmp_path, map_bytes=256 * KIB)) as index:
        done, wrong = threading.Event(), []

        def read() -> None:
            while not done.is_set():
                last = index.last_version("pipeline", "a")
                events = index.events("pipeline", "a", max(last - 5, 1), 5)
                whole = all(e == event(e.version, size=2_000) for e in events)
                if len(events) < min(last, 5) or not whole:
                    wrong.append((last, events))

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for version in range(1, 3_000):
            take(index, event(version, size=2_000))
            if version % 100 == 0:
                index.flush()
        done.set()
        for reader in readers:
            reader.join()
        assert wrong == []
        assert index.last_version("pipeline", "a") == 2_999


def test_a_map_that_may_not_grow_is_full_and_what_was_written_stays(tmp_path: Path) -> None:
    with closing(opened(tmp_path, map_bytes=256 * KIB, max_map_bytes=256 * KIB)) as index:
        take(index, event(1))
        index.flush()
        take(index, event(2, size=300 * KIB))
        for _ in range(3):
            with pytest.raises(IndexFull):
                index.flush()
        assert index.last_version("pipeline", "a") == 2
        assert index.events("pipeline", "a")[0] == event(1)
    with closing(opened(tmp_path)) as again:
        assert (again.last_version("pipeline", "a"), again.position("pipeline", 0)) == (1, 2)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_nothing_and_heals(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_400 * KIB)
    with ExitStack() as stack:
        index = opened(small_disk / "index", write_every_s=0.001)
        stack.callback(index.close)
        version = 0
        while not index.full:
            version += 1
            take(index, event(version, size=10 * KIB))
            threading.Event().wait(0.001)
        # Whoever asks meanwhile is answered as ever.
        assert index.last_version("pipeline", "a") == version
        assert [e.version for e in index.events("pipeline", "a")] == list(range(1, version + 1))
        ballast.unlink()
        while index.full:
            threading.Event().wait(0.01)
        index.flush()
    with closing(opened(small_disk / "index")) as again:
        assert again.position("pipeline", 0) == version + 1
        assert [e.version for e in again.events("pipeline", "a")] == list(range(1, version + 1))


# ── files that somebody hurt ─────────────────────────────────────────────────────────────


def _cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _blank(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def _foreign(file: Path) -> None:
    file.write_bytes(b"this is no LMDB file" * 1_000)


def test_a_file_that_was_cut_off_is_found_out_where_it_is_read(tmp_path: Path) -> None:
    """And does not kill whoever reads it."""
    filled(tmp_path, 500).close()
    _cut(tmp_path / "0" / "data.mdb")
    index = opened(tmp_path)
    if index.position("pipeline", 0):
        with pytest.raises(Damaged):
            index.events("pipeline", "a")
    kill(index)
    with closing(opened(tmp_path)) as again:
        assert again.position("pipeline", 0) == 0


@pytest.mark.parametrize("hurt", [_blank, _foreign])
def test_files_that_are_not_an_index_are_dropped(
    tmp_path: Path, hurt: Callable[[Path], None]
) -> None:
    filled(tmp_path, 500).close()
    hurt(tmp_path / "0" / "data.mdb")
    with closing(opened(tmp_path)) as index:
        assert index.position("pipeline", 0) == 0
        take(index, event(1))
        index.flush()
        assert index.last_version("pipeline", "a") == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff"])
def test_an_index_without_a_readable_mark_is_dropped(tmp_path: Path, content: bytes) -> None:
    filled(tmp_path).close()
    (tmp_path / "index.json").write_bytes(content)
    with closing(opened(tmp_path)) as index:
        assert index.position("pipeline", 0) == 0


def test_an_event_whose_bytes_changed_is_never_shown_and_the_files_are_dropped(
    tmp_path: Path,
) -> None:
    filled(tmp_path).close()
    file = tmp_path / "0" / "data.mdb"
    content, value = file.read_bytes(), event(2).value or b""
    file.write_bytes(content.replace(value, value[:-1] + bytes([value[-1] ^ 1])))
    index = opened(tmp_path)
    with pytest.raises(Damaged):
        index.event("pipeline", "a", 2)
    kill(index)
    with closing(opened(tmp_path)) as again:
        assert again.position("pipeline", 0) == 0


# ── bounds ───────────────────────────────────────────────────────────────────────────────


def test_header_names_are_kept_once_and_endlessly_many_of_them_do_no_harm(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as index:
        events = [event(n)._replace(headers={f"name{n}": b"x"}) for n in range(1, 400)]
        take(index, *events)
        index.flush()
        assert index.events("pipeline", "a") == events
    with closing(opened(tmp_path)) as again:
        assert again.events("pipeline", "a") == events


def test_forgetting_many_answers_leaves_none_behind(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as index:
        take(index, *(event(version) for version in range(1, 10_001)))
        index.flush()
        index.expire(2 * WINDOW_MS)
        environment: Environment = index._partitions[0]._environment
        with environment._env.begin() as txn:
            assert txn.stat(environment._answers)["entries"] == 0
            assert txn.stat(environment._expiry)["entries"] == 0
