"""One place in the host's pool: a child process, the call it works on, and what becomes of both.

`starting → idle ⇄ busy → retired`. Every way out of busy ends in exactly one result, or in none
when the call was cancelled. Nothing here blocks, save for the moment a killed process takes to go.
"""

from collections.abc import Callable
from dataclasses import dataclass

from plugins.child_process import ChildProcess
from plugins.frames import FrameError, Message
from plugins.step_call import Failed, StepCall, StepResult, Succeeded

START_S = 60.0
"""A child is ready in 0.1 s alone and in seconds on a machine that starts everything at once."""
MAX_PRINTED_BYTES = 64 * 1024 * 1024
"""A step that prints more than this is ended: reading it would cost its neighbours their turn."""
_KILL_WAIT_S = 1.0
_TAIL_CHARACTERS = 2_000
_DRAINED_PIECES = 16


@dataclass(frozen=True, slots=True)
class Job:
    """A call with its frame, its number on the wire, and who waits for it."""

    number: int
    call: StepCall
    frame: bytes
    limit_s: float
    on_done: Callable[[StepResult], None]


class Seat:
    """A child and its state; times are seconds of a monotonic clock, given by the caller."""

    def __init__(self, process: ChildProcess, *, now: float, kill_after_s: float) -> None:
        self.process = process
        self.job: Job | None = None
        self.ready = False
        self.retired = False
        self.cancelled = False
        self.steps = 0
        self.problem = ""
        self._kill_after_s = kill_after_s
        self._since = now
        self._deadline = now + START_S
        self._kill_at: float | None = None

    @property
    def is_idle(self) -> bool:
        return self.ready and not self.retired and self.job is None

    @property
    def due_at(self) -> float | None:
        """When `tick` has something to do next."""
        if self.ready and self.job is None:
            return None
        return self._deadline if self._kill_at is None else self._kill_at

    def begin(self, job: Job, now: float) -> None:
        """Hand a call to an idle child."""
        assert self.is_idle, "a child works on one call at a time"
        self.job, self._since, self._deadline = job, now, now + job.limit_s
        self.steps += 1
        self.process.send(job.frame)

    def listen(self, now: float) -> StepResult | None:
        """Read what the child says; its result if that ends the call."""
        result: StepResult | None = None
        try:
            for message in self.process.receive():
                if result is not None:  # talks on after its answer: what follows would hit the next
                    self.retire()
                    return result
                result = self._on_message(message, now)
        except EOFError:
            return result or self._on_end(now)
        except FrameError as error:
            self.retire()
            return result or self._end("plugin.bad_reply", f"the step's process sent {error}", now)
        if result is not None and self.process.has_partial:
            self.retire()
        return result

    def read_output(self, now: float) -> StepResult | None:
        """Read what the child printed, and end it when that is too much."""
        self.process.read_output()
        if self.process.printed_bytes <= MAX_PRINTED_BYTES:
            return None
        text = f"the step printed more than {MAX_PRINTED_BYTES} bytes and was ended"
        return self._end("plugin.too_much_output", text, now, retryable=False)

    def tick(self, now: float) -> StepResult | None:
        """Do what time asks for: terminate at the deadline, kill some seconds later."""
        if self.retired or (self.ready and self.job is None):
            return None
        if self.process.has_exited():
            return self._on_end(now)
        if self._kill_at is not None and now >= self._kill_at:
            return self._on_end(now)
        if self._kill_at is None and now >= self._deadline:
            self._kill_at = now + self._kill_after_s
            self.process.terminate()
        return None

    def stop(self, now: float) -> None:
        """Have the child end as at its deadline; its call has no result."""
        self.cancelled = True
        self._deadline = min(self._deadline, now)

    def retire(self) -> None:
        """End the child, whatever it does."""
        self.retired = True
        self.process.kill(_KILL_WAIT_S)

    def _on_message(self, message: Message, now: float) -> StepResult | None:
        if not self.ready and message == {"ready": True}:
            self.ready = True
            return None
        if self.cancelled or self._kill_at is not None:  # an answer that comes too late to count
            return self._on_end(now)
        result = None if self.job is None else _result(message, self.job, now - self._since)
        if result is None:
            return self._end("plugin.bad_reply", "the step's process sent another answer", now)
        self._drain()
        self.process.forget_output()
        if message.get("left_processes") is not False:
            self.retire()
        return self._take(result)

    def _on_end(self, now: float) -> StepResult | None:
        """The child ended by itself, or its time is over."""
        if self._kill_at is not None:
            limit = self.job.limit_s if self.job is not None else START_S
            return self._end("plugin.timeout", f"no answer within {limit:g} s", now)
        how = self.process.exit_text(_KILL_WAIT_S)
        return self._end("plugin.crashed", f"the step's process ended without answer: {how}", now)

    def _end(
        self, code: str, text: str, now: float, *, retryable: bool = True
    ) -> StepResult | None:
        self.retire()
        self._drain()
        tail = self.process.tail(_TAIL_CHARACTERS)
        self.problem = f"{text}; it printed last: {tail}" if tail else text
        return self._take(Failed(code, self.problem, now - self._since, retryable))

    def _take(self, result: StepResult) -> StepResult | None:
        return None if self.cancelled or self.job is None else result

    def _drain(self) -> None:
        for _ in range(_DRAINED_PIECES):
            if not self.process.read_output():
                break


def _result(message: Message, job: Job, duration_s: float) -> StepResult | None:
    """The result that an answer stands for; None when it is not an answer to this job."""
    if message.get("number") != job.number:
        return None
    match message:
        case {"output": bytes(output)}:
            return Succeeded(output.decode(), duration_s)
        case {"code": str(code), "message": str(text), "retryable": bool(retryable)}:
            return Failed(code, text, duration_s, retryable)
        case _:
            return None
