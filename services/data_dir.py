"""The data folder of one stack: locked by whoever runs it, for as long as that process lives."""

import contextlib
import errno
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from domain.errors import Unavailable
from services.embedded.errors import failed

_LOCK = "stack.lock"
_STOP_WITHIN_S = 40.0
_POLL_S = 0.05
# Whoever asks for the holder has the lock for an instant; that must not look like another stack.
_LOOK_S = 0.5

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_WRITABLE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT}
)


def not_written(error: OSError, data_dir: Path) -> Unavailable | None:
    """The error for people where the system lets nobody write there; `None` for anything else."""
    place = error.filename or data_dir
    if error.errno in _NO_ROOM:
        return failed(
            f"{place} cannot be written",
            cause="its disk is full",
            fix="free some space, or choose another folder (--data-dir, FLEXCORE__DATA_DIR)",
        )
    if error.errno in _NOT_WRITABLE and error.filename:
        return failed(
            f"{place} cannot be written",
            cause=os.strerror(error.errno),
            fix="make it writable, or choose another folder (--data-dir, FLEXCORE__DATA_DIR)",
        )
    return None


@contextmanager
def told_where_unwritable(data_dir: Path) -> Iterator[None]:
    """Raises Unavailable (`stack.failed`) where writing below the data folder fails."""
    try:
        yield
    except OSError as error:
        known = not_written(error, data_dir)
        if known is None:
            raise
        raise known from error


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the folder; raises `Unavailable` (`stack.failed`) when another stack holds it.

    So it does where the folder cannot be written.
    """
    with told_where_unwritable(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        # Opened without truncating: the pid inside may be another stack's.
        opened = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    with os.fdopen(opened, "r+") as lock:
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
    except (FileNotFoundError, NotADirectoryError):
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
