"""End a process with everything it started, whether or not that stayed in its group."""

import contextlib
import os
import signal
from pathlib import Path

_PROC = Path("/proc")
_ROUNDS = 8
"""Looks for processes that were forked between a look and the stop; each stops all it saw."""


def kill_tree(pid: int) -> None:
    """SIGKILL to a group leader, its group and all its descendants.

    Descendants are found through `/proc`; on systems without it only the group is reached.
    """
    found: set[int] = set()
    for _ in range(_ROUNDS):
        seen = _descendants(pid)
        _signal_group(pid, signal.SIGSTOP)
        _signal_each(seen, signal.SIGSTOP)
        if seen <= found:
            break
        found |= seen
    _signal_group(pid, signal.SIGKILL)
    _signal_each(found, signal.SIGKILL)


def terminate_group(pid: int) -> None:
    """SIGTERM to the whole group of a process; nothing happens when it is gone."""
    _signal_group(pid, signal.SIGTERM)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _signal_each(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    unvisited = [pid]
    while unvisited:
        children = set(_children(unvisited.pop())) - found
        found |= children
        unvisited += children
    return found


def _children(pid: int) -> list[int]:
    try:
        tasks = list((_PROC / str(pid) / "task").iterdir())
        texts = [task.joinpath("children").read_text() for task in tasks]
    except OSError:  # it ended while we looked, or there is no /proc
        return []
    return [int(child) for text in texts for child in text.split()]
