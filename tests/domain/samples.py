"""Definitions small enough to read: a step is its id and its needs."""

from dataclasses import replace
from typing import Any

from domain.definition import Definition, OnError, PinnedDefinition, Retry, Step

TWICE = Retry(attempts=2, initial_s=10.0, factor=2.0, max_s=60.0, jitter=False)


def step(step_id: str, *needs: str, **changed: Any) -> Step:
    """A step that runs once, without templates."""
    plain = Step(
        id=step_id,
        uses="flexcore.derive",
        needs=needs,
        on_error=OnError.FAIL,
        timeout_s=None,
        retry=None,
        when=None,
        with_json="{}",
    )
    return replace(plain, **changed)


def definition(*steps: Step) -> Definition:
    return Definition(steps)


ONE = definition(step("read"))
CHAIN = definition(step("read"), step("dated", "read"), step("store", "dated"))
DIAMOND = definition(
    step("read"), step("left", "read"), step("right", "read"), step("joined", "left", "right")
)


def pinned(of: Definition, *, active: bool = True) -> PinnedDefinition:
    """The pipeline `p1` at revision 3."""
    return PinnedDefinition("p1", active, 3, of.content_hash(), of)
