"""One event, one handler: called until it is done or given up.

call ─┬─ returns ─────────────────────────────► done
  ▲   ├─ fails, or takes too long ─► waits ─┐
  │   └─ fails for good, or the last time ──┼─► why, for the dead letter
  └─────────────────────────────────────────┘
"""

import asyncio
import random
from collections.abc import Callable

from agents.handlers import Event, Handler, HandlerFailed

CANCEL_S = 1.0
"""For a call that is cut to clean up; one that goes on all the same is left behind."""
LONGEST_AFTER_S = 300.0
"""What another side may ask to wait: its partition waits as long."""

OnFailure = Callable[[int, str], None]
"""(number of the call, why)."""


async def called(handler: Handler, event: Event, on_failure: OnFailure) -> str | None:
    """Why it was given up, `None` where it is done; raises nothing but CancelledError."""
    # Not by stamina: it takes 0.2 ms of each call, also of those that work (measured).
    for number in range(1, handler.attempts + 1):
        try:
            await _once(handler, event)
        except Exception as error:
            why = _why(error)
            on_failure(number, why)
            if number == handler.attempts or not _may_help(error):
                return why
            await asyncio.sleep(wait_s(handler, number, error))
        else:
            break
    return None


def wait_s(handler: Handler, number: int, error: Exception) -> float:
    """How long to wait after call `number`: what was asked for, else twice as long each time."""
    if isinstance(error, HandlerFailed) and error.after_s is not None:
        return min(max(error.after_s, 0.0), LONGEST_AFTER_S)
    longest = min(handler.first_wait_s * 2.0 ** (number - 1), handler.max_wait_s)
    # Handlers of several partitions that failed together would come again together.
    return longest * random.uniform(0.75, 1.0)  # noqa: S311  (no secret)


async def _once(handler: Handler, event: Event) -> None:
    """One call. Raises what it raises, HandlerFailed where time is up."""
    task = asyncio.create_task(_shielded(handler, event))
    try:
        await asyncio.wait({task}, timeout=handler.timeout_s)
    finally:
        late = not task.done()
        if late:
            # Not by asyncio.timeout, which waits for one that goes on for ever.
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_S)
            task.add_done_callback(_forget)
    if late:
        raise HandlerFailed(f"it was not done within {handler.timeout_s:g} s")
    if task.cancelled():
        raise HandlerFailed("it was cancelled from within")
    task.result()


async def _shielded(handler: Handler, event: Event) -> None:
    try:
        await handler.call(event)
    except (SystemExit, KeyboardInterrupt) as error:
        # They would end the loop that all calls of the handler run in.
        raise HandlerFailed(f"it raised {type(error).__name__}") from error


def _forget(task: "asyncio.Task[None]") -> None:
    """Look at what became of it, or asyncio complains that nobody did."""
    if not task.cancelled():
        task.exception()


def _may_help(error: Exception) -> bool:
    return not isinstance(error, HandlerFailed) or error.retryable


def _why(error: BaseException) -> str:
    if isinstance(error, HandlerFailed):
        return error.message
    return f"{type(error).__name__}: {error}"
