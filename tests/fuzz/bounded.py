"""A limit on what one input may cost."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

MAX_CPU_S = 10.0
"""Of inputs of a few KB, instrumented, on a busy machine; what is meant are those without an end."""


@contextmanager
def bounded() -> Iterator[None]:
    """Raises AssertionError where the block took longer; only its own thread's time counts."""
    began = time.thread_time()
    yield
    took = time.thread_time() - began
    assert took < MAX_CPU_S, f"one input took {took:.1f} s"
