"""The plugin host: a bounded pool of warm child processes that run steps.

```
 submit ─► queue ─► idle child ─► StepResult ─► on_done      (one thread, one call per child)
                       │ deadline → SIGTERM → SIGKILL; crash, garbage, left processes → a new child
```
"""

import itertools
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

import orjson

from plugins.frames import FrameError, frame_of
from plugins.pool import START_ATTEMPTS, PluginHostSettings, Pool
from plugins.seat import Job, Seat
from plugins.step_call import Failed, StepCall, StepResult, Succeeded

__all__ = ["Failed", "PluginHost", "PluginHostSettings", "StepCall", "StepResult", "Succeeded"]

_LOOK_S = 0.5
"""A child may exit while a process it forked holds its socket open; only looking tells then."""

Done = Callable[[StepResult], None]


class PluginHost:
    """Runs steps in child processes; every method may be called from any thread.

    `on_done` is called once per call, on the host's thread, and never after `cancel` or `close`
    have returned; it must be quick and may call `submit` and `cancel`. `on_fatal` is called when
    the host's thread ends by an error (of a callback, or of its own): nothing runs any more then.
    """

    def __init__(
        self, settings: PluginHostSettings, on_fatal: Callable[[Exception], None] | None = None
    ) -> None:
        """Start the pool; children become ready in the background."""
        self._settings = settings
        self._on_fatal = on_fatal
        self._numbers = itertools.count(1)
        # Taken in this order. A callback runs under `delivering` alone, so that `cancel` waits for
        # the one that is under way; everything else is touched under `state`.
        self._delivering = threading.RLock()
        self._state = threading.Lock()
        self._queue: deque[Job] = deque()
        self._done: deque[tuple[StepCall, Done, StepResult]] = deque()
        self._closed = False
        self._wakes_at = 0.0
        self._look_at = 0.0
        self._selector = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ, None)
        self._pool = Pool(settings, self._selector)
        self._thread = threading.Thread(target=self._run, name="plugin-host", daemon=True)
        self._thread.start()

    def known(self, uses: str) -> bool:
        """Whether there is a step of this name; nothing is imported to find out."""
        return uses in self._settings.table

    def submit(self, call: StepCall, on_done: Done) -> None:
        """Run a step as soon as a child is free; whatever goes wrong comes as `Failed`.

        Raises `RuntimeError` after `close`.
        """
        job = self._job(call, on_done)
        with self._state:
            if self._closed:
                raise RuntimeError("the plugin host is closed")
            if isinstance(job, Failed):
                self._done.append((call, on_done, job))
            elif len(self._queue) >= self._settings.queue_limit:
                self._done.append((call, on_done, self._full()))
            else:
                self._queue.append(job)
                self._dispatch(time.monotonic())
            unsent = any(seat.process.has_unsent for seat in self._pool.seats)
            if self._done or unsent or self._pool.due_at() < self._wakes_at:
                self._wake()

    def cancel(self, concerned: Callable[[str], bool]) -> None:
        """Kill the steps whose key is concerned; when this returns they run and answer no more."""
        with self._delivering:
            with self._state:
                self._drop_waiting(concerned)
                seats = self._concerned(concerned)
                for seat in seats:
                    seat.cancelled = True
            for seat in seats:
                seat.retire()
            with self._state:
                self._wake()

    def stop(self, concerned: Callable[[str], bool]) -> None:
        """Ask the steps whose key is concerned to end, and kill them where they do not within seconds.

        They answer no more, but may still run for a moment when this returns.
        """
        with self._delivering, self._state:
            self._drop_waiting(concerned)
            now = time.monotonic()
            for seat in self._concerned(concerned):
                seat.stop(now)
            self._wake()

    def close(self) -> None:
        """Kill every step and end the pool; nothing is called afterwards."""
        with self._state:
            self._closed = True
        self.cancel(lambda _: True)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def pids(self) -> list[int]:
        """Process ids of the children, for status pages and tests."""
        with self._state:
            return [seat.process.pid for seat in self._pool.seats]

    def _drop_waiting(self, concerned: Callable[[str], bool]) -> None:
        self._queue = deque(job for job in self._queue if not concerned(job.call.key))
        self._done = deque(entry for entry in self._done if not concerned(entry[0].key))

    def _concerned(self, concerned: Callable[[str], bool]) -> list[Seat]:
        return [s for s in self._pool.seats if s.job and concerned(s.job.call.key)]

    def _job(self, call: StepCall, on_done: Done) -> Job | Failed:
        if not self.known(call.uses):
            known = ", ".join(sorted(self._settings.table))
            return Failed("plugin.unknown", f"no step '{call.uses}'; known: {known}", 0.0, False)
        limit_s = self._settings.default_timeout_s if call.timeout_s is None else call.timeout_s
        number = next(self._numbers)
        try:
            message = {
                "number": number,
                "key": call.key,
                "uses": call.uses,
                "tenant": call.tenant,
                "config": orjson.dumps(call.config),
            }
            return Job(number, call, frame_of(message), limit_s, on_done)
        except (TypeError, FrameError) as error:
            return Failed("plugin.bad_config", f"the configuration: {error}", 0.0, False)

    def _full(self) -> Failed:
        text = f"{len(self._queue)} steps wait already; the queue takes no more"
        return Failed("plugin.queue_full", text, 0.0, True)

    def _dispatch(self, now: float) -> None:
        while self._queue and (seat := self._pool.idle()) is not None:
            seat.begin(self._queue.popleft(), now)
        if self._pool.failed_starts >= START_ATTEMPTS and not any(
            s.ready for s in self._pool.seats
        ):
            for job in self._queue:
                text = f"the step's process cannot be started: {self._pool.problem}"
                failed = Failed("plugin.cannot_start", text, 0.0, True)
                self._done.append((job.call, job.on_done, failed))
            self._queue.clear()

    def _wake(self) -> None:
        try:
            self._bell.send(b"!")
        except BlockingIOError:  # it rings already
            return
        except OSError:
            assert self._closed, "the bell is taken away by the host's own end only"

    def _run(self) -> None:
        try:
            while not self._closed:
                with self._state:
                    now = time.monotonic()
                    self._pool.refill(now)
                    self._pool.watch()
                    self._wakes_at = min(self._look_at, self._pool.due_at())
                self._turn(self._selector.select(max(0.0, self._wakes_at - now)))
                self._deliver()
        except Exception as error:
            if self._on_fatal is None:
                raise
            self._on_fatal(error)
        finally:
            self._end()

    def _turn(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        with self._state:
            self._wakes_at = 0.0  # awake: whoever submits now need not ring
            now = time.monotonic()
            for key, events in ready:
                if key.data is None:
                    self._ear.recv(4_096)
                elif key.data in self._pool.seats:
                    self._serve(key.data, key.fileobj, events, now)
            if now >= min(self._look_at, self._pool.due_at()):
                self._look_at = now + _LOOK_S
                for seat in list(self._pool.seats):
                    self._settle(seat, seat.tick(now), now)
            self._dispatch(now)

    def _serve(self, seat: Seat, source: object, events: int, now: float) -> None:
        if source is not seat.process.socket:
            self._settle(seat, seat.read_output(now), now)
            return
        if events & selectors.EVENT_WRITE:
            seat.process.flush()
        if events & selectors.EVENT_READ:
            self._settle(seat, seat.listen(now), now)

    def _settle(self, seat: Seat, result: StepResult | None, now: float) -> None:
        """Book a result, and replace the child where it is done with."""
        if result is not None:
            assert seat.job is not None, "a result is of the job that the child works on"
            self._done.append((seat.job.call, seat.job.on_done, result))
            seat.job = None
            if seat.steps >= self._settings.steps_per_child and not seat.retired:
                seat.retire()
        if seat.retired and seat in self._pool.seats:
            self._pool.remove(seat, now)

    def _deliver(self) -> None:
        while True:
            with self._delivering:
                with self._state:
                    if not self._done:
                        return
                    _, on_done, result = self._done.popleft()
                on_done(result)

    def _end(self) -> None:
        with self._state:
            self._closed = True
            self._pool.close()
            self._selector.close()
            self._bell.close()
            self._ear.close()
