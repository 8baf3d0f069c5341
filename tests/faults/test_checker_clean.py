"""The checker finds nothing in sound runs, whatever unusual happens in them."""

import json
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.checker import check
from tests.faults.stories import RUN, Story, sound_story

Tell = Callable[[Story], None]
GARBAGE = ("pipeline", "\ufffd", "")


def repeated(story: Story) -> None:
    """A copy of an event, byte for byte, is legal; it is counted."""
    story.events.append(replace(story.events[0], offset=99))


def repaired(story: Story) -> None:
    """An event that was written again behind its follower."""
    first, second, *_ = (n for n, event in enumerate(story.events) if event.aggregate == "p")
    story.events[first], story.events[second] = story.events[second], story.events[first]


def undelivered(story: Story) -> None:
    """A command that never reached the broker needs no answer."""
    asked = story.ask("p")
    del story.commands[-1]
    story.operations.append(replace(asked, phase="unknown", code="undelivered"))


def unavailable(story: Story) -> None:
    """`unavailable` is never remembered; the same command may be accepted later."""
    asked = story.ask("r")
    story.answer(asked, "fail", code="owner.unavailable")
    story.answer(asked, "ok", story.log("r", ["PipelineRevised"], asked))


def concurrent_conflict(story: Story) -> None:
    """Two at once expect the same version: one of them conflicts."""
    stands = str(max(event.version for event in story.events if event.aggregate == "p"))
    first, second = story.ask("p", expected=stands), story.ask("p", expected=stands)
    story.answer(first, "ok", story.log("p", ["PipelineRevised"], first))
    story.answer(second, "fail", code="aggregate.version_conflict")


def retried_step(story: Story) -> None:
    """A failed attempt may be followed by another."""
    run = RUN.replace("1", "2")
    asked = story.ask(run, context="execution")
    types = ["ExecutionStarted", "PipelineStepScheduled"]
    story.answer(asked, "ok", story.log(run, types, asked, step="read"))
    story.log(run, ["PipelineStepFailed"], step="read")
    story.log(run, ["PipelineStepScheduled"], step="read", attempt=2)
    story.log(run, ["PipelineStepCompleted", "ExecutionCompleted"], step="read", attempt=2)


def garbage(story: Story) -> None:
    """What is no command is put aside."""
    story.bury(story.put(GARBAGE, ""))


def undelivered_yet_there(story: Story) -> None:
    """A client gave a command up that had reached the broker after all."""
    asked = story.ask("s")
    story.operations.append(replace(asked, phase="unknown", code="undelivered"))
    story.answer(asked, "ok", story.log("s", ["PipelineCreated"], asked))


def answered_again(story: Story) -> None:
    """A takeover answers what its predecessor had answered."""
    again = next(operation for operation in story.operations if operation.phase == "ok")
    asked = next(o for o in story.operations if o.identity == again.identity)
    story.answer(asked, "ok", again.versions)


CLEAN = [
    repeated,
    repaired,
    undelivered,
    unavailable,
    concurrent_conflict,
    retried_step,
    garbage,
    undelivered_yet_there,
    answered_again,
]


@pytest.mark.parametrize("tell", CLEAN, ids=lambda value: value.__name__)
def test_a_sound_run_passes(tell: Tell) -> None:
    story = sound_story()
    tell(story)
    report = check(story.operations, story.dump())
    assert report.violations == []


@pytest.mark.parametrize("seed", range(20))
def test_a_sound_run_of_many_such_turns_passes(seed: int) -> None:
    chance = random.Random(seed)
    story = sound_story()
    for tell in chance.sample(CLEAN, chance.randint(2, len(CLEAN))):
        tell(story)
        for _ in range(chance.randint(0, 3)):
            story.revise(chance.choice("pqt"))
    assert check(story.operations, story.dump()).violations == []


def test_a_copy_and_a_repair_are_counted() -> None:
    story = sound_story()
    repaired(story)
    repeated(story)
    counts = check(story.operations, story.dump()).counts
    assert (counts["republished"], counts["out_of_order"]) == (1, 1)


def test_a_report_says_first_whether_the_run_was_sound() -> None:
    story = sound_story()
    del story.events[0]
    report = json.loads(check(story.operations, story.dump()).text())
    assert next(iter(report)) == "sound"
    assert (report["sound"], report["counts"]["executions"]) == (False, 1)
