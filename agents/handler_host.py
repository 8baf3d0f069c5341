"""The handlers of a worker at work: a thread, a loop and a consumer group for each.

    group ─► Place of its partition ─► one call at a time ─┬─► done ────────┐
                                                           └─► dead letter ─┴─► committed

Each has a thread and a loop of its own: one that blocks stops nobody else, and never the lane.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from confluent_kafka import KafkaException

from agents.handler_calls import CANCEL_S, called
from agents.handler_group import TP, HandlerGroup, Read, Source
from agents.handler_place import Place, Waiting
from agents.handlers import Event, Handler
from domain.errors import FlexCoreError, Unreadable
from observability import worker_metrics as metrics
from schemas.codec import Codec
from streams.dead_letters import DeadLetters, Letter
from streams.records import EventRecord, text

log = structlog.get_logger("flexcore.handlers")

LEAVE_S = 5.0
"""A call that is under way when its partition goes is waited for; then it is cut."""
STOP_S = LEAVE_S + 4.0
COMMIT_EVERY_S = 1.0
AGAIN_S = 1.0
MOST_AGAIN_S = 30.0
THREADS = 20
"""Of calls that block, and of dead letters: as many as a handler has partitions, on a usual stack."""

Shape = Callable[[EventRecord, Codec], Mapping[str, Any]]
"""An event as the doors show it; raises nothing."""


class HandlerHost:
    """`start`, then `stop`; `state` may be asked by other threads."""

    def __init__(self, handlers: Sequence[Handler], source: Source, shape: Shape) -> None:
        dead = DeadLetters(source.connection, source.topics) if handlers else None
        self._running = [_Running(handler, source, shape, dead) for handler in handlers if dead]

    def start(self) -> None:
        for one in self._running:
            one.thread.start()

    def stop(self) -> None:
        """End all: calls under way are waited for, those that take longer come again."""
        for one in self._running:
            one.end()
        deadline = time.monotonic() + STOP_S
        for one in self._running:
            one.thread.join(max(0.0, deadline - time.monotonic()))
            if one.thread.is_alive():
                log.warning("handler_did_not_stop", handler=one.handler.name)

    @property
    def state(self) -> dict[str, dict[str, int]]:
        """Of each handler, how many partitions are its here, and how far behind they are."""
        return {
            one.handler.name: {"partitions": len(one.places), "behind": one.behind}
            for one in self._running
        }


class _Running:
    """One handler. All but the callbacks and `end` runs in its loop."""

    def __init__(self, handler: Handler, source: Source, shape: Shape, dead: DeadLetters) -> None:
        self.handler = handler
        self.places: dict[TP, Place] = {}
        self.behind = 0
        self.thread = threading.Thread(
            target=self._run_thread, name=f"handler-{handler.name}", daemon=True
        )
        self._source = source
        self._shape = shape
        self._dead = dead
        self._tasks: dict[TP, asyncio.Task[None]] = {}
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        self._stopping.set()

    # ── the loop ─────────────────────────────────────────────────────────────────────────

    def _run_thread(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._loop.set_default_executor(ThreadPoolExecutor(THREADS))
            runner.run(self._run())

    async def _run(self) -> None:
        """Begin anew whatever goes wrong: a broker that is away comes back."""
        loop, pause_s = asyncio.get_running_loop(), AGAIN_S
        with ThreadPoolExecutor(1, f"handler-{self.handler.name}-poll") as polling:
            while not self._stopping.is_set():
                begun = loop.time()
                try:
                    await self._read(polling)
                except (KafkaException, FlexCoreError) as error:
                    log.warning("handler_begins_anew", handler=self.handler.name, why=str(error))
                except Exception:
                    log.exception("handler_begins_anew", handler=self.handler.name)
                if loop.time() - begun > MOST_AGAIN_S:
                    pause_s = AGAIN_S
                await loop.run_in_executor(polling, self._stopping.wait, pause_s)
                pause_s = min(2 * pause_s, MOST_AGAIN_S)

    async def _read(self, polling: ThreadPoolExecutor) -> None:
        """Read and hand out until the end. Raises what the broker brings about."""
        loop = asyncio.get_running_loop()
        group = HandlerGroup(
            self.handler,
            self._source,
            on_assigned=lambda starts: self._inside(self._begin(starts)),
            on_revoked=lambda places, lost: self._inside(self._leave(places, lost=lost), {}),
        )
        commit_at = 0.0
        try:
            while not self._stopping.is_set():
                for read in await loop.run_in_executor(polling, group.poll):
                    self._take(read)
                self._balance(group)
                if loop.time() >= commit_at:
                    self._commit(group)
                    commit_at = loop.time() + COMMIT_EVERY_S
        finally:
            await loop.run_in_executor(polling, group.close)
            await self._leave(list(self.places), lost=True)

    def _take(self, read: Read) -> None:
        place = self.places.get(read.tp)
        if place is None:
            return
        if read.key is None:
            place.read_to = max(place.read_to, read.offset + (0 if read.end else 1))
            return
        missing = place.take(*read.key, read.offset, read.waiting)
        if missing:
            log.warning(
                "handler_waits_for_event",
                handler=self.handler.name,
                aggregate_id=read.key[0],
                version=read.key[1],
                missing=missing,
            )
        if place.next is not None and read.tp not in self._tasks:
            self._tasks[read.tp] = asyncio.create_task(self._work(read.tp, place))

    def _balance(self, group: HandlerGroup) -> None:
        paused = group.paused
        group.pause([tp for tp, place in self.places.items() if place.full and tp not in paused])
        group.resume([tp for tp in paused if (p := self.places.get(tp)) is not None and p.has_room])

    def _commit(self, group: HandlerGroup) -> None:
        done = {tp: place.done_to for tp, place in self.places.items()}
        group.commit(done)
        self.behind = group.behind(done)
        metrics.HANDLER_BEHIND.labels(self.handler.name).set(self.behind)

    # ── assignment, from inside a poll ───────────────────────────────────────────────────

    def _inside(self, coroutine: Coroutine[Any, Any, Any], otherwise: Any = None) -> Any:
        """Run in the loop, from another thread; where the loop is blocked, it is not waited for."""
        assert self._loop is not None
        running = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return running.result(LEAVE_S + 2.0)
        except TimeoutError:
            log.error("handler_blocks", handler=self.handler.name)  # noqa: TRY400  (no bug of ours)
            return otherwise

    async def _begin(self, starts: Mapping[TP, int]) -> None:
        self.places |= {tp: Place(at) for tp, at in starts.items()}

    async def _leave(self, places: Sequence[TP], *, lost: bool) -> dict[TP, int]:
        """Give places up; returns up to where all is handled."""
        # Taken out at once: where this comes late, the same partition may be ours again meanwhile.
        left = {tp: self.places.pop(tp) for tp in places if tp in self.places}
        tasks = [self._tasks.pop(tp) for tp in places if tp in self._tasks]
        for place in left.values():
            place.ending = True
        if tasks and not lost:
            await asyncio.wait(tasks, timeout=LEAVE_S)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2 * CANCEL_S)
        return {tp: place.done_to for tp, place in left.items()}

    # ── calling ──────────────────────────────────────────────────────────────────────────

    async def _work(self, tp: TP, place: Place) -> None:
        """Handle what waits in a place, one by one."""
        while (waiting := place.next) is not None:
            try:
                await self._handle(waiting)
                place.done()
            except Exception:
                # A mistake of ours must not lose the event; it is handled again.
                log.exception("handler_hindered", handler=self.handler.name)
                await asyncio.sleep(AGAIN_S)
        if self._tasks.get(tp) is asyncio.current_task():
            del self._tasks[tp]

    async def _handle(self, waiting: Waiting) -> None:
        try:
            event = self._event(waiting.record)
        except Exception as error:
            # Whatever it holds: one event must not stop its partition.
            why: str | None = error.message if isinstance(error, Unreadable) else repr(error)
        else:
            why = await called(
                self.handler, event, lambda number, why: self._failed(event, number, why)
            )
        if why is not None:
            await self._bury(waiting, why)
        metrics.HANDLER_EVENTS.labels(self.handler.name, "done" if why is None else "dead").inc()

    def _event(self, record: EventRecord) -> Event:
        """Raises Unreadable."""
        body = self._source.codec.decode(record.value or b"")
        return Event(context=record.context, body=body, **self._shape(record, self._source.codec))

    def _failed(self, event: Event, number: int, why: str) -> None:
        metrics.HANDLER_FAILURES.labels(self.handler.name).inc()
        log.warning(
            "handler_failed",
            handler=self.handler.name,
            attempt=number,
            of=self.handler.attempts,
            why=why[:500],
            **_told(event),
        )

    async def _bury(self, waiting: Waiting, why: str) -> None:
        """Write a dead letter, however long it takes: without it the event would be lost."""
        record, message = waiting
        group = self._source.topics.handler_group(self.handler.name)
        letter = Letter(
            topic=message.topic(),
            partition=record.partition,
            offset=record.offset,
            key=message.key(),
            value=message.value(),
            headers=message.headers() or (),
            why=why,
            by=group,
            scope=f"{group}/",
            more={"dead_handler": self.handler.name},
        )
        while True:
            try:
                await asyncio.to_thread(self._dead.bury, letter)
            except Exception as error:
                log.warning("handler_cannot_bury", handler=self.handler.name, why=repr(error))
                await asyncio.sleep(AGAIN_S)
            else:
                break
        log.error(
            "handler_gave_up",
            handler=self.handler.name,
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
            event_id=record.event_id,
            correlation_id=text(record.headers, "ce_correlationid"),
            why=why[:500],
        )


def _told(event: Event) -> dict[str, Any]:
    return {
        "type": event.type,
        "aggregate_id": event.aggregate_id,
        "version": event.version,
        "event_id": event.id,
        "tenant": event.tenant_id,
        "correlation_id": event.correlation_id,
    }
