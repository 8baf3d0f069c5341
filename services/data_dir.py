"""The data folder of one stack: locked by whoever runs it, for as long as that process lives."""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from services.embedded.errors import failed

_LOCK = "stack.lock"
_STOP_WITHIN_S = 40.0
_POLL_S = 0.05
# Whoever asks for the holder has the lock for an instant; that must not look like another stack.
_LOOK_S = 0.5


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the folder; raises `Unavailable` (`stack.failed`) when another stack holds it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    # Opened without truncating: the pid inside may be another stack's.
    with os.fdopen(os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT, 0o644), "r+") as lock:
        if not _taken(lock):
            raise failed(
                f"no second stack can run on {data_dir}",
                cause=f"process {holder(data_dir)} runs one there",
                fix="use that one, end it (flexcore stop), or choose another --data-dir",
            )
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _taken(lock: IO[str]) -> bool:
    deadline = time.monotonic() + _LOOK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        else:
            return True


def holder(data_dir: Path) -> int | None:
    """The pid of the process that holds the folder, None where nobody does."""
    try:
        lock = (data_dir / _LOCK).open("r+")
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read() or 0) or None
    return None


def end_holder(data_dir: Path, *, within_s: float = _STOP_WITHIN_S) -> bool:
    """Stop the process that holds the folder: SIGTERM, then SIGKILL; False where nobody held it."""
    pid = holder(data_dir)
    if pid is None:
        return False
    deadline = time.monotonic() + within_s
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    while holder(data_dir) == pid:
        if time.monotonic() > deadline:
            # Its supervisors end all children when it is gone.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            deadline = float("inf")
        time.sleep(_POLL_S)
    return True
