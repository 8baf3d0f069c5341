"""One event, one handler: called until it is done or given up.

call ─┬─ returns ─────────────────────────────► done
  ▲   ├─ fails, or takes too long ─► waits ─┐
  │   └─ fails for good, or the last time ──┼─► why, for the dead letter
  └─────────────────────────────────────────┘
"""

import asyncio
from collections.abc import Callable

import stamina

from agents.handlers import Event, Handler, HandlerFailed

CANCEL_S = 1.0
"""For a call that is cut to clean up; one that goes on all the same is left behind."""
LONGEST_AFTER_S = 300.0
"""What another side may ask to wait: its partition waits as long."""

OnFailure = Callable[[int, str], None]
"""(number of the call, why)."""


async def called(handler: Handler, event: Event, on_failure: OnFailure) -> str | None:
    """Why it was given up, `None` where it is done; raises nothing but CancelledError."""
    attempts = stamina.retry_context(
        on=_wait,
        attempts=handler.attempts,
        timeout=None,
        wait_initial=handler.first_wait_s,
        wait_max=handler.max_wait_s,
        # Handlers of several partitions that failed together would come again together.
        wait_jitter=handler.first_wait_s / 2,
    )
    try:
        async for attempt in attempts:
            with attempt:
                await _told(handler, event, attempt.num, on_failure)
    except Exception as error:
        return _why(error)
    return None


async def _told(handler: Handler, event: Event, number: int, on_failure: OnFailure) -> None:
    try:
        await _once(handler, event)
    except Exception as error:
        on_failure(number, _why(error))
        raise


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
    except (SystemExit, KeyboardInterrupt, StopAsyncIteration) as error:
        # They would end the loop of all calls; the last one the loop of attempts, as if it were done.
        raise HandlerFailed(f"it raised {type(error).__name__}") from error


def _forget(task: "asyncio.Task[None]") -> None:
    """Look at what became of it, or asyncio complains that nobody did."""
    if not task.cancelled():
        task.exception()


def _wait(error: Exception) -> bool | float:
    """Whether to try again; a number is how long to wait first."""
    if not isinstance(error, HandlerFailed):
        # stamina also asks about the end of the worker, which is none of ours.
        return isinstance(error, Exception)
    if error.retryable and error.after_s is not None:
        return min(max(error.after_s, 0.0), LONGEST_AFTER_S)
    return error.retryable


def _why(error: BaseException) -> str:
    if isinstance(error, HandlerFailed):
        return error.message
    return f"{type(error).__name__}: {error}"
