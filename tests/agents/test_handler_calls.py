"""One event, one handler: what is tried again, how long it may take, and what is told at the end."""

import asyncio
import time

import pytest

from agents import handler_calls
from agents.handler_calls import called, wait_s
from agents.handlers import Handler, HandlerFailed
from tests.agents.events import Failing, deaf, endless, event, handler


def outcome(of: Handler) -> tuple[str | None, list[tuple[int, str]]]:
    """(why it was given up, what failed before)."""
    failures: list[tuple[int, str]] = []
    why = asyncio.run(called(of, event(), lambda number, why: failures.append((number, why))))
    return why, failures


def test_a_call_that_returns_is_done() -> None:
    call = Failing()
    assert outcome(handler(call)) == (None, [])
    assert call.calls == 1


def test_a_call_that_fails_is_repeated_until_it_works() -> None:
    call = Failing(OSError("away"), ValueError("odd"))
    why, failures = outcome(handler(call))
    assert (why, failures) == (None, [(1, "OSError: away"), (2, "ValueError: odd")])


def test_after_the_last_attempt_it_is_given_up_with_the_last_reason() -> None:
    call = Failing(*(OSError(f"away {number}") for number in range(9)))
    why, failures = outcome(handler(call, attempts=3))
    assert (why, len(failures), call.calls) == ("OSError: away 2", 3, 3)


def test_what_is_hopeless_is_not_tried_again() -> None:
    call = Failing(HandlerFailed("gone", retryable=False))
    assert outcome(handler(call))[0] == "gone"
    assert call.calls == 1


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (10_000.0, 300.0), (-1.0, 0.0)])
def test_another_side_may_say_how_long_to_wait_up_to_five_minutes(
    asked: float, waited: float
) -> None:
    assert wait_s(handler(None), 1, HandlerFailed("busy", after_s=asked)) == waited


def test_each_wait_is_twice_as_long_up_to_the_longest() -> None:
    patient = handler(None, first_wait_s=1.0, max_wait_s=60.0)
    waits = [wait_s(patient, number, OSError()) for number in (1, 2, 3, 7, 100)]
    for waited, longest in zip(waits, (1.0, 2.0, 4.0, 60.0, 60.0), strict=True):
        assert 0.75 * longest <= waited <= longest


def test_a_call_that_never_ends_is_cut() -> None:
    why, failures = outcome(handler(endless, timeout_s=0.05, attempts=2))
    assert why == "it was not done within 0.05 s"
    assert len(failures) == 2


def test_a_call_that_hears_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_calls, "CANCEL_S", 0.05)
    before = time.monotonic()
    assert outcome(handler(deaf, timeout_s=0.05, attempts=1))[0] is not None
    assert time.monotonic() - before < 5


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), StopAsyncIteration()]
)
def test_no_handler_ends_the_loop_it_runs_in(error: BaseException) -> None:
    why, _ = outcome(handler(Failing(error), attempts=1))
    assert why


def test_a_worker_that_leaves_cuts_the_call_and_hands_on_nothing() -> None:
    async def leave() -> None:
        task = asyncio.create_task(called(handler(endless), event(), lambda *_: None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())


def test_leaving_between_two_calls_is_no_failure() -> None:
    async def leave() -> None:
        waiting = asyncio.Event()
        patient = handler(Failing(OSError("away")), first_wait_s=60.0, max_wait_s=60.0)
        task = asyncio.create_task(called(patient, event(), lambda *_: waiting.set()))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
