"""A TCP proxy between workers and brokers that harms single Kafka requests; a process of its own.

worker ──► door (a port for each worker and broker) ──► rules on requests ──► shape ──► broker
           steered by lines of JSON on a control port: {"do": "rule" | "shape" | "events" | …}
"""

import asyncio
import contextlib
import json
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.proxy_rules import Door, Rule, Shape
from tests.faults.wire import Api, Request, end_txn_error, framed, parse

HOST = "127.0.0.1"
CHUNK = 65_536
HANDLED_S = 0.03
DELIVERED_AT_LAST_S = 20.0
"""A stray whose moment never comes is delivered all the same: it is late, not lost."""


@dataclass(slots=True)
class _Stray:
    rule: Rule
    request: Request
    port: int
    kept: float = field(default_factory=time.time)


class Proxy:
    """All doors; runs in one event loop."""

    def __init__(self, doors: list[Door]) -> None:
        self._doors = doors
        self._rules: list[Rule] = []
        self._left: dict[str, int] = {}
        self._skip: dict[str, int] = {}
        self._shapes: dict[int, Shape] = {}
        self._changed = asyncio.Condition()
        self._strays: dict[str, _Stray] = {}
        self._written: set[str] = set()
        self.events: list[dict[str, Any]] = []
        self._shaped: Counter[int] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, control: int) -> None:
        """Until the process is ended."""
        await self.open_doors()
        async with await asyncio.start_server(self._controlled, HOST, control) as server:
            await server.serve_forever()

    async def open_doors(self) -> None:
        """Listen at each."""
        for door in self._doors:
            await asyncio.start_server(self._entered(door), HOST, door.port)

    # ── control ──────────────────────────────────────────────────────────────────────────

    async def _controlled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            answer = await self._command(json.loads(line))
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _command(self, asked: Mapping[str, Any]) -> Any:
        match asked["do"]:
            case "rule":
                self.add(Rule(**asked["rule"]))
            case "shape":
                await self.shape(asked["slot"], Shape(**asked["shape"]))
            case "cut":
                self._cut(asked["slot"])
            case "clear":
                await self.clear(asked["slot"])
            case "events":
                return self.events[asked["since"] :]
            case "shaped":
                return self._shaped[asked["slot"]]
        return {"events": len(self.events)}

    def add(self, rule: Rule) -> None:
        self._left[rule.name], self._skip[rule.name] = rule.times, rule.skip
        self._rules.append(rule)

    async def shape(self, slot: int, shape: Shape) -> None:
        async with self._changed:
            self._shapes[slot] = shape
            self._changed.notify_all()
        if shape.refuses:
            self._cut(slot)

    async def clear(self, slot: int | None = None) -> None:
        """Rules and shapes of one slot, or of all, are in force no more."""
        self._rules = [rule for rule in self._rules if slot not in (None, rule.slot)]
        async with self._changed:
            for known in set(self._shapes) if slot is None else {slot}:
                self._shapes.pop(known, None)
            self._changed.notify_all()

    def _cut(self, slot: int) -> None:
        for door in self._doors:
            if door.slot == slot:
                for writer in tuple(door.writers):
                    writer.transport.abort()

    def _note(self, rule: Rule, request: Request, what: str, **more: Any) -> None:
        self.events.append(
            {
                "t": time.time(),
                "rule": rule.name,
                "api": request.api,
                "what": what,
                "transactional_id": request.transactional_id,
                "commits": request.commits,
                **more,
            }
        )

    # ── a connection ─────────────────────────────────────────────────────────────────────

    def _entered(self, door: Door) -> Any:
        async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._shape_of(door).refuses:
                writer.transport.abort()
                return
            door.writers.add(writer)
            # Whatever ends one side ends the other; who notices first does not matter.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, struct.error, _Cut):
                await self._connected(door, reader, writer)
            door.writers.discard(writer)
            writer.transport.abort()

        return enter

    async def _connected(
        self, door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        from_broker, to_broker = await asyncio.open_connection(HOST, door.upstream)
        back = asyncio.create_task(self._answers(door, from_broker, writer))
        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                frame = await reader.readexactly(size)
                await self._request(door, parse(frame), to_broker)
        finally:
            back.cancel()
            to_broker.transport.abort()

    async def _answers(
        self, door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await self._carry(door, "down", len(chunk))
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()

    async def _request(self, door: Door, request: Request, broker: asyncio.StreamWriter) -> None:
        await self._deliver_stray(request)
        self._follow(request)
        rule = self._matching(door, request)
        if rule is not None:
            await self._harm(rule, door, request, broker)
            return
        await self._carry(door, "up", len(request.frame))
        broker.write(framed(request.frame))
        await broker.drain()

    def _matching(self, door: Door, request: Request) -> Rule | None:
        for rule in self._rules:
            if rule.slot != door.slot or request.api not in rule.apis or not self._left[rule.name]:
                continue
            if rule.commits is not None and request.commits is not rule.commits:
                continue
            if self._skip[rule.name]:
                self._skip[rule.name] -= 1
                continue
            self._left[rule.name] -= 1
            return rule
        return None

    async def _harm(
        self, rule: Rule, door: Door, request: Request, broker: asyncio.StreamWriter
    ) -> None:
        self._note(rule, request, rule.action)
        if rule.action == "hold":
            await asyncio.sleep(rule.seconds)
        if rule.action == "stray":
            self._keep(rule, request, door)
        if rule.action in ("hold", "copy", "cut_after"):
            broker.write(framed(request.frame))
            await broker.drain()
        if rule.action == "copy":
            self._keep(rule, request.deciding(rule.commit), door)
        if rule.action == "cut_after":
            await asyncio.sleep(rule.seconds)
        if rule.action in ("stray", "cut", "cut_after"):
            raise _Cut

    # ── late requests ────────────────────────────────────────────────────────────────────

    def _keep(self, rule: Rule, request: Request, door: Door) -> None:
        stray = self._strays[request.transactional_id] = _Stray(rule, request, door.upstream)
        task = asyncio.create_task(self._at_last(stray))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _at_last(self, stray: _Stray) -> None:
        await asyncio.sleep(DELIVERED_AT_LAST_S)
        if self._strays.get(stray.request.transactional_id) is stray:
            del self._strays[stray.request.transactional_id]
            await self._deliver(stray, None)

    def _follow(self, request: Request) -> None:
        """Which transactional ids have events in the log since their last EndTxn."""
        if request.transactional_id and request.api == Api.PRODUCE:
            self._written.add(request.transactional_id)
        elif request.api == Api.END_TXN:
            self._written.discard(request.transactional_id)

    async def _deliver_stray(self, request: Request) -> None:
        """A stray of this transactional id arrives at the broker before this request does."""
        stray = self._strays.get(request.transactional_id) if request.transactional_id else None
        if stray is None or request.api not in stray.rule.before:
            return
        written = request.transactional_id in self._written
        if stray.rule.written and not written:
            return
        del self._strays[request.transactional_id]
        if written:
            # The events' own request has gone ahead on another connection.
            await asyncio.sleep(HANDLED_S)
        await self._deliver(stray, request)

    async def _deliver(self, stray: _Stray, before: Request | None) -> None:
        late_s = round(time.time() - stray.kept, 3)
        error, what = -1, "stray delivered"
        try:
            reader, writer = await asyncio.open_connection(HOST, stray.port)
            writer.write(framed(stray.request.frame))
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            error = end_txn_error(stray.request, await reader.readexactly(size))
            writer.close()
        except (OSError, asyncio.IncompleteReadError) as failure:
            what = f"stray not delivered: {failure!r}"
        written = stray.request.transactional_id in self._written
        moment = "" if before is None else Api(before.api).name
        # Before any event or offset the broker has no transaction, and takes a second commit for the
        # first one's repetition.
        open_ = written or moment in ("TXN_OFFSET_COMMIT", "END_TXN")
        self._note(
            stray.rule,
            stray.request,
            what,
            error=error,
            decided=error == 0 and open_,
            moment=moment,
            late_s=late_s,
        )

    # ── how bytes are carried ────────────────────────────────────────────────────────────

    def _shape_of(self, door: Door) -> Shape:
        return self._shapes.get(door.slot, _OPEN)

    async def _carry(self, door: Door, direction: str, size: int) -> None:
        """Returns when these bytes may go on."""
        shape = self._shape_of(door)
        if shape is _OPEN:
            return
        self._shaped[door.slot] += 1
        wait_s = max(0.0, random.gauss(shape.delay_s, shape.jitter_s))
        if random.random() < shape.stall_share:
            wait_s += shape.stall_s
        if shape.bytes_per_s:
            wait_s += size / shape.bytes_per_s
        if wait_s:
            await asyncio.sleep(wait_s)
        async with self._changed:
            await self._changed.wait_for(lambda: direction not in self._shape_of(door).closed)


_OPEN = Shape()


class _Cut(Exception):
    """The connection is to end."""


def main() -> None:
    """`python -m tests.faults.proxy CONTROL_PORT '[[slot, port, upstream], …]'`"""
    control, doors = int(sys.argv[1]), json.loads(sys.argv[2])
    asyncio.run(Proxy([Door(*door) for door in doors]).serve(control))


if __name__ == "__main__":
    main()
