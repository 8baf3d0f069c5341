"""Named places on the write path where a fault run lets the process die or stall.

FLEXCORE_FAILPOINT=<name>[:<n>]     at the n-th time (1 if not said); unset, a place costs one look
"""

import os
import time
from collections.abc import Callable
from enum import StrEnum
from threading import Lock
from typing import Any

VARIABLE = "FLEXCORE_FAILPOINT"
EXIT_KILLED = 137
"""What a shell reports of a process that was killed by SIGKILL."""
STALL_S = 5.0


class Failpoint(StrEnum):
    """Tests walk through all of them, so a member that nothing reaches is found."""

    BEFORE_TRANSACTION = "before_transaction"
    AFTER_PRODUCE = "after_produce"
    AFTER_OFFSETS = "after_offsets"
    AFTER_COMMIT = "after_commit"
    INTERNAL_BEFORE_COMMIT = "internal_before_commit"
    INTERNAL_AFTER_COMMIT = "internal_after_commit"
    TAILER_BEFORE_INDEX = "tailer_before_index"
    BEFORE_ANSWER = "before_answer"
    AFTER_ANSWER = "after_answer"
    IN_FENCE_AFTER_SLOTS = "in_fence_after_slots"
    IN_FENCE_BEFORE_OPEN = "in_fence_before_open"
    AFTER_REVOCATION = "after_revocation"
    STALL_LANE = "stall_lane"
    API_AFTER_PRODUCE = "api_after_produce"


def _parsed(text: str) -> tuple[Failpoint | None, int]:
    name, _, times = text.partition(":")
    return (Failpoint(name), int(times or 1)) if name else (None, 0)


_armed, _left = _parsed(os.environ.get(VARIABLE, ""))
_lock = Lock()


def armed(point: Failpoint) -> bool:
    """Whether this process is to fail at `point`."""
    return _armed is point


def reached(point: Failpoint, before: Callable[[], Any] | None = None) -> None:
    """Die (or stall, once) if `point` is armed and its time has come; `before` is called first."""
    global _left
    if _armed is not point:
        return
    with _lock:
        _left -= 1
        if _left != 0:
            return
    if before is not None:
        before()
    if point is Failpoint.STALL_LANE:
        time.sleep(STALL_S)
    else:
        os._exit(EXIT_KILLED)
