"""Whether the files of a stream index may be trusted: what is said about them beside them.

LMDB is told not to wait for the disk, so its files are whole after the process died, but not after
the machine did. The mark says of which log they are, in which boot of the machine they were last
written, and whether they were closed.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

NAME = "index.json"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Mark:
    """`log` names the log and the format; an empty `boot` is known of no machine."""

    log: str
    boot: str
    clean: bool


def boot_id() -> str:
    """This boot of the machine; empty where the system does not tell, as outside Linux."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def why_not(folder: Path, log: str, boot: str) -> str:
    """Why the files in `folder` are no index of `log`; empty where they are."""
    if not folder.exists():
        return "there is none yet"
    try:
        mark = Mark(**orjson.loads((folder / NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return "it bears no mark"
    if mark.log != log:
        return "it is of another log or format"
    if not mark.clean and (not boot or mark.boot != boot):
        return "the machine went down before it was closed"
    return ""


def write(folder: Path, mark: Mark) -> None:
    """Durably, and before anything that it is about: an index that is open is not clean."""
    new = folder / f"{NAME}.new"
    with new.open("wb") as file:
        file.write(orjson.dumps(asdict(mark)))
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / NAME)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
