"""A damaged index may end its process by a signal, without an error: the next one reads what it was at.

a page that is not there ──► SIGBUS ──► faulthandler's file ──► the next start drops the index

LMDB has no checksums: where a page's number is damaged, what is read lies behind the file's end.
"""

import faulthandler
from pathlib import Path
from typing import IO

_IN_THE_INDEX = "/lmdb_"
_NO_SUCH_PAGE = "Bus error"
"""Of a mapped file; nothing else of a worker is mapped but the single page of streams/mapped_suspects.py."""
_open: dict[Path, IO[str]] = {}
"""faulthandler writes to the descriptor when nothing else can be done any more."""


def blamed(file: Path) -> str:
    """The fault of the index that ended the last process; empty where none did."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return ""
    fault, _, told = text.partition("\n")
    frames = told.partition("Current thread")[2].splitlines()[1:]
    in_the_index = bool(frames) and _IN_THE_INDEX in frames[0]
    return fault if in_the_index or _NO_SUCH_PAGE in fault else ""


def watch(file: Path) -> None:
    """Have this process write there where it is when a fault ends it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _open[file] = file.open("w", encoding="utf-8")
    faulthandler.enable(_open[file])
