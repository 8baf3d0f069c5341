"""The engine: due steps run once a delivery, end as commands, and survive their worker."""

from datetime import timedelta

import orjson
import pytest

from agents.due import FEW_DEADLINES
from domain.execution.messages import (
    CancelExecution,
    CompleteStep,
    ExecutionFailed,
    ExpireExecution,
    FailStep,
    RedeliverStep,
    SkipStep,
)
from plugins.step_call import Failed, Succeeded
from streams.topics import partition_of
from tests.agents.world import PARTITIONS, World, step

DONE = Succeeded('{"rows": [1], "count": 1}', 0.1)
BROKEN = Failed("plugin.failed", "no such file", 0.1, retryable=True)


def test_the_steps_of_a_new_run_that_need_nothing_run_at_once() -> None:
    world = World()
    world.start(step("left"), step("right"), step("after", "left", "right"))
    assert world.runner.steps == ["left", "right"]


def test_a_result_becomes_a_command_and_the_next_step_runs_when_that_is_decided() -> None:
    world = World()
    run = world.start(
        step("first"), step("second", "first", config='{"n": "${{ steps.first.output.count }}"}')
    )
    world.runner.end(f"{run}/first/1", DONE)
    world.turn()
    assert [command.command for command in world.sent] == [
        CompleteStep(run, "first", 1, 0.1, DONE.output_json)
    ]
    assert world.runner.steps == []
    world.judge()
    assert world.runner.calls[f"{run}/second/1"][0].config == {"n": 1}


def test_a_failure_says_whether_it_is_worth_another_attempt_which_waits_for_its_time() -> None:
    world = World()
    run = world.start(step("only", attempts=2))
    world.runner.end(f"{run}/only/1", BROKEN)
    world.turn()
    assert isinstance(world.sent[0].command, FailStep)
    assert world.sent[0].command.retryable
    world.judge()
    world.later(9.9)
    assert world.runner.steps == []
    world.later(0.2)
    assert list(world.runner.calls) == [f"{run}/only/2"]


def test_a_template_that_cannot_be_rendered_fails_its_step_for_good() -> None:
    world = World()
    run = world.start(
        step("first"), step("second", "first", config='{"n": "${{ steps.first.output.none }}"}')
    )
    world.runner.end(f"{run}/first/1", DONE)
    world.turn()
    world.judge()
    (said,) = world.sent
    assert isinstance(said.command, FailStep)
    assert (said.command.error_code, said.command.retryable) == ("step.invalid_template", False)


def test_a_step_knows_the_input_of_its_run_and_the_run() -> None:
    world = World()
    config = '{"day": "${{ input.day }}", "of": "${{ execution.pipeline_id }}"}'
    run = world.start(step("only", config=config), input_json='{"day": 3}')
    assert world.runner.calls[f"{run}/only/1"][0].config == {"day": 3, "of": "p"}


def test_only_the_outputs_that_a_step_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    loads = orjson.loads
    monkeypatch.setattr("agents.variables.orjson.loads", lambda t: read.append(t) or loads(t))
    world = World()
    config = '{"n": "${{ steps.a.output.count }}"}'
    run = world.start(step("a"), step("b"), step("last", "a", "b", config=config))
    for name in ("a", "b"):
        world.runner.end(f"{run}/{name}/1", Succeeded(f'{{"count": "{name}"}}', 0.1))
        world.turn()
        world.judge()
    assert world.runner.calls[f"{run}/last/1"][0].config == {"n": "a"}
    assert '{"count": "b"}' not in read


def test_a_step_whose_condition_is_false_is_skipped_and_takes_no_place() -> None:
    world = World(in_flight=1)
    run = world.start(step("no", when="input.all"), step("yes"), input_json='{"all": false}')
    assert [command.command for command in world.sent] == [SkipStep(run, "no", 1)]
    assert world.runner.steps == ["yes"]
    world.judge()
    assert world.sent == []


def test_a_condition_that_is_no_truth_fails_its_step_for_good() -> None:
    world = World()
    world.start(step("only", when="input.all"), input_json='{"all": 1}')
    (said,) = world.sent
    assert isinstance(said.command, FailStep)
    assert (said.command.error_code, said.command.retryable) == ("step.invalid_template", False)


def test_a_run_is_told_that_its_deadline_is_over_once() -> None:
    world = World()
    run = world.start(step("only"), deadline_s=60)
    assert world.engine.next_due() == world.now + timedelta(seconds=60)
    world.later(59.9)
    assert world.sent == []
    world.later(0.2)
    world.later(10)
    assert [command.command for command in world.sent] == [ExpireExecution(run)]
    world.judge()
    assert world.runner.stopped == [f"{run}/only/1"]


def test_a_deadline_outlives_its_worker_and_ends_with_its_run() -> None:
    world = World()
    run, other = world.start(step("only"), deadline_s=60), world.start(step("a"), deadline_s=60)
    world.runner.end(f"{other}/a/1", DONE)
    world.turn()
    world.judge()
    world.restart()
    world.own()
    world.sent.clear()
    world.later(61)
    assert [command.command for command in world.sent] == [ExpireExecution(run)]


def test_deadlines_of_runs_that_have_ended_are_not_kept() -> None:
    world = World()
    for _ in range(3 * FEW_DEADLINES):
        run = world.start(step("only"), deadline_s=86_400)
        world.runner.end(f"{run}/only/1", DONE)
        world.turn()
        world.judge()
    assert len(world.engine._deadlines) <= FEW_DEADLINES + 1


def test_a_cancelled_run_stops_what_runs_and_starts_nothing_more() -> None:
    world = World()
    run = world.start(step("first"), step("second", "first"), step("later", attempts=2))
    world.runner.end(f"{run}/later/1", BROKEN)
    world.turn()
    world.judge()
    world.decide(run, CancelExecution(run, "enough"))
    assert (world.runner.stopped, world.runner.steps) == ([f"{run}/first/1"], [])
    world.later(60)
    assert (world.runner.steps, world.sent) == ([], [])


def test_the_end_of_a_run_stops_what_still_runs() -> None:
    world = World()
    run = world.start(step("left"), step("right"))
    world.runner.end(f"{run}/left/1", BROKEN)
    world.turn()
    world.judge()
    assert world.runner.steps == []


def test_no_more_steps_than_there_is_room_for() -> None:
    world = World(in_flight=2)
    run = world.start(step("a"), step("b"), step("c"))
    assert world.runner.steps == ["a", "b"]
    world.runner.end(f"{run}/a/1", DONE)
    world.turn()
    assert world.runner.steps == ["b", "c"]


# ── take-over ────────────────────────────────────────────────────────────────────────────


def test_what_ran_when_its_worker_died_is_delivered_again_and_what_completed_never() -> None:
    world = World()
    run = world.start(step("done"), step("hit"))
    world.runner.end(f"{run}/done/1", DONE)
    world.turn()
    world.judge()
    world.restart()
    world.own()
    assert [c.command for c in world.sent] == [RedeliverStep(run, "hit", 1, 1)]
    assert world.runner.steps == [], "it starts when its new delivery is decided"
    world.judge()
    assert world.runner.steps == ["hit"]


def test_a_step_that_only_waited_through_many_restarts_is_not_lost() -> None:
    world = World(in_flight=1)
    world.start(step("a"), step("b"))
    for _ in range(3):
        world.restart()
        world.own()
        world.judge()
        assert len(world.runner.steps) == 1
    deliveries = [s.delivery for _, state in world.states.values() for s in state.steps.values()]
    assert sorted(deliveries) == [1, 4]


def test_a_step_whose_workers_die_five_times_is_given_up() -> None:
    world = World()
    run = world.start(step("deadly"))
    for _ in range(5):
        world.restart()
        world.own()
        world.judge()
    assert world.runner.steps == []
    last = world.index.events("execution", run)[-1]
    assert last.type.endswith(ExecutionFailed.__name__)


def test_a_retry_that_waits_goes_on_waiting_under_another_worker() -> None:
    world = World()
    run = world.start(step("only", attempts=2))
    world.runner.end(f"{run}/only/1", BROKEN)
    world.turn()
    # In the future of the real clock, by which a take-over tells what may have been handed over.
    world.now = world.now.replace(year=2999)
    world.judge()
    world.restart()
    world.own()
    assert (world.sent, world.runner.steps) == ([], [])
    world.later(10.1)
    assert world.runner.steps == ["only"]
    assert list(world.runner.calls) == [f"{run}/only/2"]


def test_a_rebalance_that_changes_nothing_starts_nothing_twice() -> None:
    world = World(in_flight=1)
    world.start(step("a"), step("b"))
    world.own()
    assert (world.sent, world.runner.steps) == ([], ["a"])


def test_steps_of_lost_partitions_are_stopped() -> None:
    world = World()
    run = world.start(step("a"))
    kept = [("execution", n) for n in range(PARTITIONS) if n != partition_of(run, PARTITIONS)]
    world.own(kept)
    assert world.runner.steps == []
    world.own()
    assert len(world.sent) == 1


def test_what_another_worker_went_on_with_is_stopped_here() -> None:
    world = World()
    world.start(step("a"))
    asleep = world.engine, world.runner
    world.restart()
    world.own()
    world.judge()
    (world.engine, world.runner), other = asleep, world.runner
    assert other.steps == world.runner.steps == ["a"]
    world.own()
    assert world.runner.steps == []


@pytest.mark.parametrize("result", [DONE, BROKEN])
def test_the_result_of_a_step_that_was_stopped_is_not_told(result: Succeeded | Failed) -> None:
    world = World()
    run = world.start(step("a"))
    _, on_done = world.runner.calls[f"{run}/a/1"]
    world.own([])
    on_done(result)
    world.turn()
    assert world.sent == []
