"""Waiting for what another process does."""

import threading
import time
from collections.abc import Callable


def until(condition: Callable[[], bool], *, within_s: float = 15.0) -> None:
    """Return as soon as the condition holds; fails the test when it does not in time."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        pause.wait(0.02)
