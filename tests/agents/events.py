"""Events as handlers get them, and handlers that keep what they got."""

import asyncio
from typing import Any

from agents.handlers import Event, Handler
from domain.pipeline.pipeline import PipelineActivated


def event(version: int = 1, aggregate_id: str = "p", **changed: Any) -> Event:
    return Event(
        **{
            "id": f"e{version}",
            "type": "PipelineActivated",
            "context": "pipeline",
            "aggregate_id": aggregate_id,
            "version": version,
            "time": "2026-11-22T10:00:00Z",
            "tenant_id": "default",
            "actor_id": "anonymous",
            "command_id": "c",
            "correlation_id": "x",
            "causation_id": "c",
            "position": "pipeline/0@1",
            "data": {"pipeline_id": aggregate_id},
            "body": None,
            **changed,
        }
    )


def handler(call: Any, **changed: Any) -> Handler:
    """One that waits no longer than a test does."""
    return Handler(
        **{
            "name": "tell",
            "place": "tests.tell",
            "call": call,
            "types": frozenset({PipelineActivated}),
            "first_wait_s": 0.001,
            "max_wait_s": 0.002,
            "timeout_s": 5.0,
            **changed,
        }
    )


class Failing:
    """Fails with these errors, one after the other, then works; `calls` counts."""

    def __init__(self, *errors: BaseException) -> None:
        self._errors = list(errors)
        self.calls = 0

    async def __call__(self, _: Event) -> None:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)


async def endless(_: Event) -> None:
    await asyncio.Event().wait()


async def deaf(_: Event) -> None:
    """Goes on whatever it is told."""
    for _tries in range(2):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue
