"""Small file systems in memory, and filling them; needs the right to mount."""

import errno
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 1024 * 1024
_FILLER = "filler"


@contextmanager
def mounted(folder: Path, size_mb: int) -> Iterator[bool]:
    """A new, empty folder of that size in place of what was there; false where none may be mounted."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=755", "tmpfs", str(folder)]
    there = (
        shutil.which("mount") is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )
    try:
        yield there
    finally:
        if there:
            # Lazily: whoever still holds a file of it keeps it until it ends.
            subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def fill(folder: Path) -> Iterator[int]:
    """No room is left in a folder's file system meanwhile; gives the bytes that it took."""
    file = folder / _FILLER
    taken = 0
    with file.open("wb", buffering=0) as out:
        try:
            while True:
                taken += out.write(bytes(MIB))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    try:
        yield taken
    finally:
        file.unlink()
