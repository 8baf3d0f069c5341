"""The engine: runs what is scheduled and tells the lane how it ended; its memory is the log's.

    events (committed, or found at a takeover) ──► due steps ──► plugin host ──► internal command
                                               └─► due times of schedules ─────► internal command

A step runs at least once: what was running when its worker died is delivered again, what has
completed never is. Only a step that is about to start is delivered again, so that waiting in a
queue through many restarts does not count as being lost.
"""

import heapq
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
import structlog

from agents.due import Deadline, Deadlines, DueStep, due_step, is_current
from agents.schedules import Schedules, concerns_schedule
from agents.variables import variables_of
from domain.contexts import CONTEXTS
from domain.execution.execution import EXECUTION
from domain.execution.messages import (
    CompleteStep,
    ExecutionStarted,
    ExpireExecution,
    FailStep,
    PipelineStepCompleted,
    PipelineStepFailed,
    PipelineStepScheduled,
    RedeliverStep,
    SkipStep,
)
from domain.execution.state import Ended, Running, Scheduled
from plugins.expressions import ExpressionError
from plugins.step_call import Failed, StepCall, StepResult
from plugins.step_call import Succeeded as StepSucceeded
from plugins.templates import holds, render
from schemas.codec import Codec
from streams.exit_codes import EXIT_STUCK
from streams.records import DEFAULT_TENANT, NAMESPACE
from streams.states import folded
from streams.stream_index import StreamIndex
from streams.topics import partition_of
from streams.turn import Place
from streams.verdicts import InternalCommand, NewEvent

log = structlog.get_logger("flexcore.engine")

CONTEXT = "execution"
SCHEDULED = "pipeline"
MAX_MESSAGE = 4_000
MAX_WAIT_S = 1.0
OWN_TIMEOUT_S = 60.0
OWN_LOOK_S = 0.05


class Runner(Protocol):
    """The plugin host."""

    def submit(self, call: StepCall, on_done: Callable[[StepResult], None]) -> None: ...

    def stop(self, concerned: Callable[[str], bool]) -> None: ...

    def cancel(self, concerned: Callable[[str], bool]) -> None: ...


class Engine:
    """One thread calls `step`; the other methods only leave something for it."""

    def __init__(
        self,
        runner: Runner,
        index: StreamIndex,
        codec: Codec,
        send: Callable[[Sequence[InternalCommand]], None],
        partitions: int,
        *,
        in_flight: int,
    ) -> None:
        """`in_flight` steps at most are with the runner at once; the others wait here."""
        self._runner = runner
        self._index = index
        self._codec = codec
        self._send = send
        self._partitions = partitions
        self._in_flight = in_flight
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._runs: dict[str, Any] = {}
        self._due: list[DueStep] = []
        self._deadlines = Deadlines()
        self._schedules = Schedules(index, codec, partitions)
        self._running: dict[str, DueStep] = {}
        self._ended = threading.Event()

    @property
    def running(self) -> int:
        """Steps that are with the plugin host."""
        return len(self._running)

    # ── from other threads ───────────────────────────────────────────────────────────────

    def on_events(self, events: Sequence[NewEvent]) -> None:
        """Events that were just committed."""
        ours = [new for new in events if new.context == CONTEXT or concerns_schedule(new.event)]
        if ours:
            self._inbox.put(lambda: self._take(ours))

    def own(self, places: Collection[Place]) -> None:
        """Stop all steps of other places and find out what should be running in these.

        Called before the lane opens: the index holds every event, and none is being made.
        When this returns, no step of another place runs any more, and none at all once `run` has ended.
        """
        owned, done = frozenset(places), threading.Event()

        def own() -> None:
            self._own(owned)
            done.set()

        self._inbox.put(own)
        deadline = time.monotonic() + OWN_TIMEOUT_S
        while not done.wait(OWN_LOOK_S) and not self._ended.is_set():
            if time.monotonic() > deadline:
                log.critical("engine_stuck", seconds=OWN_TIMEOUT_S)
                os._exit(EXIT_STUCK)

    def run(self, stopping: threading.Event) -> None:
        """The thread's body; at its end all steps are stopped."""
        while not stopping.is_set():
            now = datetime.now(UTC)
            due = self.next_due()
            wait_s = MAX_WAIT_S if due is None else max(0.0, (due - now).total_seconds())
            self.step(now, min(wait_s, MAX_WAIT_S))
        self._own(frozenset())
        # A fence that comes now would wait for this thread, and the group for the fence.
        self._ended.set()

    # ── the engine's thread ──────────────────────────────────────────────────────────────

    def step(self, now: datetime, timeout_s: float = 0.0) -> None:
        """Take what was left, waiting at most `timeout_s` for it, and start what is due."""
        try:
            self._inbox.get(timeout=timeout_s or None, block=timeout_s > 0)()
            while True:
                self._inbox.get_nowait()()
        except queue.Empty:
            pass
        while self._due and self._due[0].at <= now and len(self._running) < self._in_flight:
            self._start(heapq.heappop(self._due))
        for deadline in self._deadlines.over(now):
            self._expire(deadline)
        if commands := self._schedules.due(now):
            self._send(commands)

    def next_due(self) -> datetime | None:
        """When there is something to do next: a step to start where there is room, a run to end, or
        one that a schedule asks for.
        """
        times = self._deadlines.first + self._schedules.next
        if len(self._running) < self._in_flight:
            times += [one.at for one in self._due[:1]]
        return min(times, default=None)

    def _take(self, events: Sequence[NewEvent]) -> None:
        for new in events:
            event = new.event
            if new.context == SCHEDULED:
                self._schedules.look(new.aggregate_id, new.version)
                continue
            self._fold(new.aggregate_id, event)
            if isinstance(event, PipelineStepScheduled):
                step = Scheduled(event.attempt, event.delivery, event.due_at)
                due = due_step(new.aggregate_id, event.step_id, step, dict(new.headers))
                if self._release(due.key):
                    self._start(due)
                else:
                    heapq.heappush(self._due, due)
            elif isinstance(event, PipelineStepCompleted | PipelineStepFailed):
                self._release(f"{new.aggregate_id}/{event.step_id}/{event.attempt}")
            elif isinstance(event, ExecutionStarted):
                self._deadlines.watch(new.aggregate_id, event.deadline_at, dict(new.headers))

    def _release(self, key: str) -> bool:
        """Free the place that an orphan holds until its new delivery is decided."""
        held = self._running.get(key)
        if held is None or not held.orphan:
            return False
        del self._running[key]
        return True

    def _fold(self, execution_id: str, event: Any) -> None:
        state = EXECUTION.evolve(self._runs.get(execution_id, EXECUTION.initial), event)
        if isinstance(state, Ended):
            self._runs.pop(execution_id, None)
            self._deadlines.purge(self._runs)
            keys = self._forget(lambda due: due.execution_id == execution_id)
            if keys:
                # Nobody else runs them, so they may take a moment to end well.
                self._runner.stop(keys.__contains__)
        else:
            self._runs[execution_id] = state

    def _expire(self, deadline: Deadline) -> None:
        if isinstance(self._runs.get(deadline.execution_id), Running):
            log.info("deadline_exceeded", execution_id=deadline.execution_id)
            command = ExpireExecution(deadline.execution_id)
            self._tell(deadline, "expire", command)

    def _start(self, due: DueStep) -> None:
        state = self._runs.get(due.execution_id)
        if not isinstance(state, Running) or not is_current(due, state):
            return
        self._running[due.key] = due
        if due.orphan:
            log.warning("step_redelivered", key=due.key, delivery=due.delivery)
            command = RedeliverStep(due.execution_id, due.step_id, due.attempt, due.delivery)
            self._tell(due, f"redeliver/{due.delivery}", command)
            return
        step = next(step for step in state.definition.steps if step.id == due.step_id)
        try:
            variables = variables_of(state)
            if step.when is not None and not holds(step.when, variables):
                del self._running[due.key]
                skip = SkipStep(due.execution_id, due.step_id, due.attempt)
                self._tell(due, "skip", skip)
                return
            config = render(orjson.loads(step.with_json), variables)
        except (ExpressionError, orjson.JSONDecodeError) as error:
            self._finish(due, Failed("step.invalid_template", str(error), 0.0, retryable=False))
            return
        assert isinstance(config, dict)
        call = StepCall(due.key, step.uses, config, step.timeout_s, DEFAULT_TENANT)
        self._runner.submit(call, lambda result: self._done(due, result))

    def _done(self, due: DueStep, result: StepResult) -> None:
        self._inbox.put(lambda: self._finish(due, result))

    def _finish(self, due: DueStep, result: StepResult) -> None:
        if self._running.get(due.key) is not due:
            return
        del self._running[due.key]
        if isinstance(result, StepSucceeded):
            self._tell(
                due,
                "complete",
                CompleteStep(
                    execution_id=due.execution_id,
                    step_id=due.step_id,
                    attempt=due.attempt,
                    duration_s=result.duration_s,
                    output_json=result.output_json,
                ),
            )
        else:
            self._tell(
                due,
                "fail",
                FailStep(
                    execution_id=due.execution_id,
                    step_id=due.step_id,
                    attempt=due.attempt,
                    error_code=result.code,
                    error_message=result.message[:MAX_MESSAGE],
                    retryable=result.retryable,
                ),
            )

    def _tell(self, due: DueStep | Deadline, kind: str, command: Any) -> None:
        """Send a command; one of the same kind for the same delivery has the same id."""
        command_id = uuid.uuid5(NAMESPACE, f"{due.key}/{kind}")
        partition = partition_of(due.execution_id, self._partitions)
        self._send(
            [
                InternalCommand(
                    CONTEXT,
                    partition,
                    due.execution_id,
                    command,
                    command_id,
                    due.correlation,
                    due.cause,
                )
            ]
        )

    # ── ownership ────────────────────────────────────────────────────────────────────────

    def _own(self, places: frozenset[Place]) -> None:
        numbers = [partition for context, partition in places if context == CONTEXT]
        active = [run for partition in numbers for run in self._index.active(partition)]
        # A run may also have ended in a commit that nobody told us of: its steps hold no place.
        self._runs = {run: self._runs[run] for run in active if run in self._runs}
        self._deadlines = Deadlines()
        self._schedules.own(number for context, number in places if context == SCHEDULED)
        self._cancel(lambda due: due.execution_id not in self._runs)
        for execution_id in active:
            self._recover(execution_id)

    def _recover(self, execution_id: str) -> None:
        version, state = folded(self._index, self._codec, CONTEXTS[CONTEXT], execution_id)
        self._runs[execution_id] = state
        if not isinstance(state, Running):
            return
        # Another worker may have gone on with this run while we were away.
        self._cancel(lambda due: due.execution_id == execution_id and not is_current(due, state))
        known = {due.key for due in (*self._due, *self._running.values())}
        last = self._index.event(CONTEXT, execution_id, version)
        headers = {} if last is None else dict(last.headers)
        self._deadlines.watch(execution_id, state.deadline_at, headers)
        for step_id, step in state.steps.items():
            if isinstance(step, Scheduled):
                due = due_step(
                    execution_id, step_id, step, headers, orphan=step.due_at <= datetime.now(UTC)
                )
                if due.key not in known:
                    heapq.heappush(self._due, due)

    def _cancel(self, concerned: Callable[[DueStep], bool]) -> None:
        """End steps at once: when this returns none of them runs, whoever may run them next."""
        keys = self._forget(concerned)
        if keys:
            self._runner.cancel(keys.__contains__)

    def _forget(self, concerned: Callable[[DueStep], bool]) -> frozenset[str]:
        """Wait for no answer of these steps; returns the keys of those that run."""
        self._due = [due for due in self._due if not concerned(due)]
        heapq.heapify(self._due)
        keys = frozenset(key for key, due in self._running.items() if concerned(due))
        for key in keys:
            del self._running[key]
        return keys
