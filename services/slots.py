"""A worker's slot: a small number that is its alone, locked in the data folder while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from domain.errors import Unavailable

MAX_SLOTS = 1_000


@contextmanager
def slot(data_dir: Path, wanted: int | None) -> Iterator[int]:
    """Hold `wanted`, or the lowest free slot; two workers on one would fence each other for ever.

    Raises Unavailable where it is taken.
    """
    folder = data_dir / "slots"
    folder.mkdir(parents=True, exist_ok=True)
    for number in [wanted] if wanted is not None else range(MAX_SLOTS):
        lock = FileLock(folder / f"{number}.lock", blocking=False)
        try:
            lock.acquire()
        except Timeout:
            continue
        try:
            yield number
        finally:
            lock.release()
        return
    raise Unavailable(
        "stack.failed",
        f"worker slot {wanted} is taken by a running worker; "
        "stop it, or leave FLEXCORE__WORKER__SLOT out to get a free one",
    )
