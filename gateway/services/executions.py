"""ExecutionService: start, wait for the end, cancel, get, list."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from domain.errors import NotFound, Unavailable
from domain.execution.messages import CancelExecution, ExecutePipeline
from gateway.pipeline_file import json_text
from gateway.services.asked import Asked, Caller, Freshness
from gateway.services.commands import CommandService
from gateway.services.read_models import READ_OWN_WRITE_S, ReadModel, Written
from projections.executions import ExecutionById, ExecutionsMatching
from projections.page import Page
from streams.query_bus import QueryBus

CONTEXT = "execution"
ENDED = frozenset({"succeeded", "failed", "cancelled"})

LOOK_FIRST_S = 0.005
LOOK_SHARE = 0.2
LOOK_LAST_S = 0.25
"""A run is looked at again after a fifth of the time it took so far: 20 % late at worst, and
four looks a second at most for one that takes minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What to start; without `execution_id` a repeated command names the same run."""

    pipeline_id: str
    execution_id: str | None = None
    input: Any = None
    deadline_s: float | None = None
    priority: int = 0


class ExecutionService:
    """Every method takes and shows local ids inside the caller's tenant."""

    def __init__(
        self,
        commands: CommandService,
        queries: QueryBus,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._commands = commands
        self._read_model = ReadModel(queries, "executions", CONTEXT)
        self._sleep = sleep
        self._clock = clock

    async def start(self, start: Start, asked: Asked) -> Written:
        """Start a run; with `asked.wait_s` the shape is that of its end if it comes in time.

        Raises NotFound, Refused where the pipeline is not active, Invalid.
        """
        execution_id = start.execution_id or str(
            uuid.uuid5(uuid.UUID(asked.command_id), "execution")
        )
        command = ExecutePipeline(
            execution_id=asked.caller.new_id(CONTEXT, execution_id),
            pipeline_id=asked.caller.new_id("pipeline", start.pipeline_id),
            deadline_s=start.deadline_s,
            priority=start.priority,
            input_json=json_text(
                {} if start.input is None else start.input, "input", "execution.invalid_input"
            ),
        )
        began = self._clock()
        answer = await self._commands.send(CONTEXT, command.execution_id, command, asked)
        query = ExecutionById(tenant=asked.caller.tenant, execution_id=execution_id)
        wait_s = min(READ_OWN_WRITE_S, asked.wait_s or READ_OWN_WRITE_S)
        written = await self._read_model.written(answer, query, wait_s)
        if asked.wait_s is None:
            return written
        return await self._ended(written, query, began, asked.wait_s)

    async def cancel(self, execution_id: str, reason: str, asked: Asked) -> Written:
        """Raises NotFound, Refused where it has ended. A cancelled run stays as it is."""
        command = CancelExecution(asked.caller.new_id(CONTEXT, execution_id), reason)
        answer = await self._commands.send(CONTEXT, command.execution_id, command, asked)
        query = ExecutionById(tenant=asked.caller.tenant, execution_id=execution_id)
        return await self._read_model.written(answer, query, asked.wait_s)

    async def get(
        self, caller: Caller, execution_id: str, freshness: Freshness | None = None
    ) -> dict[str, Any]:
        """The execution's shape. Raises NotFound."""
        caller.known_id(CONTEXT, execution_id)
        query = ExecutionById(tenant=caller.tenant, execution_id=execution_id)
        found: dict[str, Any] = await self._read_model.ask(query, freshness)
        return found

    async def find(
        self, caller: Caller, query: ExecutionsMatching, freshness: Freshness | None = None
    ) -> Page:
        """A page of the caller's executions. Raises Invalid."""
        found: Page = await self._read_model.ask(replace(query, tenant=caller.tenant), freshness)
        return found

    async def _ended(
        self, written: Written, query: ExecutionById, began: float, wait_s: float
    ) -> Written:
        """`written` with the shape of the run's end, or the last one seen within `wait_s`."""
        while not has_ended(written):
            taken = self._clock() - began
            if taken >= wait_s:
                break
            pause = min(max(LOOK_FIRST_S, taken * LOOK_SHARE), LOOK_LAST_S, wait_s - taken)
            await self._sleep(pause)
            try:
                written = replace(written, shape=await self._read_model.ask(query))
            except (NotFound, Unavailable):
                # The command is accepted whatever the read model does now.
                continue
        return written


def has_ended(written: Written) -> bool:
    """Whether the run is over, as far as the read model knows."""
    return written.shape is not None and written.shape["status"] in ENDED
