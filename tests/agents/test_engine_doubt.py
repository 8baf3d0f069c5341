"""The engine and commits that nobody told it of: some found by the simulation."""

import threading

import pytest

from domain.decider import Facts
from domain.execution.execution import EXECUTION
from plugins.step_call import Failed
from tests.agents.world import World, step

BROKEN = Failed("plugin.failed", "no such file", 0.1, retryable=False)


def decided_untold(world: World, run: str) -> None:
    """What the engine said stands in the log, yet the reply to the commit was lost."""
    (said,) = [command for command in world.sent if command.aggregate_id == run]
    version, state = world.states[run]
    events = EXECUTION.decide(said.command, state, Facts(at=world.now, actor="test"))
    world.states[run] = version + len(events), EXECUTION.fold(events, state)
    for number, event in enumerate(events, 1):
        world._written(run, version + number, event)
    world.sent.clear()


def test_a_run_that_ended_untold_holds_no_place() -> None:
    world = World(in_flight=1)
    run = world.start(step("only"))
    world.runner.end(f"{run}/only/1", BROKEN)
    world.turn()
    said = list(world.sent)
    world.own()
    assert world.engine.running == 1, "the step is delivered anew, as nothing is known of its end"
    world.sent[:] = said
    decided_untold(world, run)
    world.own()
    assert (world.engine.running, world.engine.next_due()) == (0, None)
    world.start(step("next"))
    assert world.runner.steps == ["next"]


@pytest.mark.timeout(20)
def test_a_fence_does_not_wait_for_an_engine_that_has_ended() -> None:
    world = World()
    world.start(step("only"))
    stopping = threading.Event()
    stopping.set()
    world.engine.run(stopping)
    assert world.runner.steps == []
    world.engine.own([("execution", 0)])
    assert world.runner.steps == []
