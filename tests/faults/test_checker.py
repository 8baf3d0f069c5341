"""The checker finds every planted corruption and nothing in sound runs."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.checker import check
from tests.faults.history import Operation
from tests.faults.stories import RUN, Story, sound_story
from tests.faults.topic_dump import LoggedEvent

Tamper = Callable[[Story], None]


def change(story: Story, number: int, **fields: object) -> None:
    """Replace fields of an event."""
    story.events[number] = replace(story.events[number], **fields)  # type: ignore[arg-type]


def find(story: Story, kind: str) -> int:
    """The place in the log of the first event of that type."""
    return next(number for number, event in enumerate(story.events) if event.type == kind)


def last_event(story: Story) -> LoggedEvent:
    return story.events[-1]


def told(story: Story, number: int = 0, **fields: object) -> None:
    """Change the answer to the first command, as client and topic have it."""
    answers = [n for n, operation in enumerate(story.operations) if operation.answered]
    at = answers[number]
    operation: Operation = replace(story.operations[at], **fields)  # type: ignore[arg-type]
    story.operations[at] = operation
    place = [answer.place for answer in story.answers].index(operation.place)
    status = {"ok": "accepted", "fail": "refused"}[operation.phase]
    story.answers[place] = replace(
        story.answers[place], versions=operation.versions, code=operation.code, status=status
    )


def lost_event(story: Story) -> None:
    del story.events[find(story, "PipelineRevised")]


def lost_last_event(story: Story) -> None:
    story.events = [e for e in story.events if (e.aggregate, e.version) != ("p", 2)]


def gap(story: Story) -> None:
    number = find(story, "ExecutionCompleted")
    change(story, number, version=story.events[number].version + 1)


def version_twice(story: Story) -> None:
    story.events.append(replace(story.events[0], digest="other", command_id="other"))


def second_effect(story: Story) -> None:
    event = next(e for e in story.events if (e.aggregate, e.version) == ("p", 2))
    story.events.append(replace(event, version=3, digest="again", offset=99))


def torn_command(story: Story) -> None:
    number = find(story, "ExecutionCompleted")
    del story.events[number]


def wrong_partition(story: Story) -> None:
    change(story, 0, partition=(story.events[0].partition + 1) % 8)


def refused_yet_there(story: Story) -> None:
    told(story, 1, phase="fail", versions=(), code="pipeline.not_found")


def unequal_answers(story: Story) -> None:
    told(story, 3, versions=(2,))


def accepted_without_events(story: Story) -> None:
    story.answer(story.ask("r"), "ok", [1])


def unanswered(story: Story) -> None:
    story.ask("p")


def vanished(story: Story) -> None:
    story.delivered.discard(story.ask("p").identity)


def two_contents(story: Story) -> None:
    reused = next(o for o in story.operations if o.code == "command.id_reused")
    asked = next(o for o in story.operations if o.hash == reused.hash)
    story.log("q", ["PipelineRevised"], asked)


def phantom(story: Story) -> None:
    change(story, 0, command_id="00000000-0000-0000-0000-0000000000ff")


def wrong_content(story: Story) -> None:
    change(story, 0, name="what nobody asked for")


def ignored_expectation(story: Story) -> None:
    story.revise("p", "1")


def needless_conflict(story: Story) -> None:
    asked = story.ask("p", expected="2")
    story.answer(asked, "fail", code="aggregate.version_conflict")


def conflict_of_any(story: Story) -> None:
    story.answer(story.ask("p"), "fail", code="aggregate.version_conflict")


def aborted_answer(story: Story) -> None:
    del story.answers[0]


def answer_to_nobody(story: Story) -> None:
    del story.operations[0]


def two_ends(story: Story) -> None:
    story.log(RUN, ["ExecutionCompleted"], step="read")


def after_the_end(story: Story) -> None:
    story.log(RUN, ["PipelineStepScheduled"], step="other")


def two_results(story: Story) -> None:
    end = story.events.pop()
    story.events[-1] = replace(last_event(story), count=1)
    story.log(RUN, ["PipelineStepCompleted"], step="read")
    story.events.append(replace(end, version=end.version + 1, index=0, count=1, command_id="end"))


def completed_runs_again(story: Story) -> None:
    end = story.events.pop()
    story.events[-1] = replace(last_event(story), count=1)
    story.log(RUN, ["PipelineStepScheduled"], step="read", delivery=3)
    story.events.append(replace(end, version=end.version + 1, index=0, count=1, command_id="end"))


def skipped_delivery(story: Story) -> None:
    number = len(story.events) - 3
    change(story, number, delivery=3)


def endless(story: Story) -> None:
    story.events.pop()
    story.events[-1] = replace(last_event(story), count=1)


def started_late(story: Story) -> None:
    change(story, find(story, "ExecutionStarted"), type="PipelineStepScheduled", step="x")


def uncommitted(story: Story) -> None:
    story.committed = dict(story.ends)
    story.committed[next(iter(story.ends))] -= 1


def dead_letter(story: Story) -> None:
    story.dead = 1


def open_transaction(story: Story) -> None:
    story.stuck.append("pipeline.events/3 short of 17")


PLANTED: list[tuple[Tamper, str]] = [
    (lost_event, "versions"),
    (lost_last_event, "in-the-log"),
    (gap, "versions"),
    (version_twice, "version-once"),
    (second_effect, "effect-once"),
    (torn_command, "whole-commands"),
    (wrong_partition, "home-partition"),
    (refused_yet_there, "refused"),
    (unequal_answers, "equal-answers"),
    (accepted_without_events, "in-the-log"),
    (unanswered, "answered"),
    (vanished, "delivered"),
    (two_contents, "one-content"),
    (phantom, "asked"),
    (wrong_content, "payload"),
    (ignored_expectation, "expected-version"),
    (needless_conflict, "false-conflict"),
    (conflict_of_any, "expected-version"),
    (aborted_answer, "aborted-answer"),
    (answer_to_nobody, "asked"),
    (two_ends, "one-end"),
    (after_the_end, "nothing-after-end"),
    (two_results, "one-result"),
    (completed_runs_again, "one-result"),
    (skipped_delivery, "deliveries"),
    (endless, "ended"),
    (started_late, "started-once"),
    (uncommitted, "offsets"),
    (dead_letter, "dead-letters"),
    (open_transaction, "open-transaction"),
]


@pytest.mark.parametrize(
    ("tamper", "rule"), PLANTED, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_planted_corruption_is_found(tamper: Tamper, rule: str) -> None:
    story = sound_story()
    tamper(story)
    assert rule in check(story.operations, story.dump()).rules


def repeated(story: Story) -> None:
    """A copy of an event, byte for byte, is legal; it is counted."""
    story.events.append(replace(story.events[0], offset=99))


def repaired(story: Story) -> None:
    """An event that was written again behind its follower."""
    first, second = (n for n, event in enumerate(story.events) if event.aggregate == "p")
    story.events[first], story.events[second] = story.events[second], story.events[first]


def undelivered(story: Story) -> None:
    """A command that never reached the broker needs no answer."""
    asked = story.ask("p")
    story.delivered.discard(asked.identity)
    story.operations.append(replace(asked, phase="unknown", code="undelivered"))


def unavailable(story: Story) -> None:
    """`unavailable` is never remembered; the same command may be accepted later."""
    asked = story.ask("r")
    story.answer(asked, "fail", code="owner.unavailable")
    story.answer(asked, "ok", story.log("r", ["PipelineRevised"], asked))


def concurrent_conflict(story: Story) -> None:
    """Two at once expect the same version: one of them conflicts."""
    first, second = story.ask("p", expected="2"), story.ask("p", expected="2")
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


@pytest.mark.parametrize(
    "tell",
    [repeated, repaired, undelivered, unavailable, concurrent_conflict, retried_step],
    ids=lambda value: value.__name__,
)
def test_a_sound_run_passes(tell: Tamper) -> None:
    story = sound_story()
    tell(story)
    report = check(story.operations, story.dump())
    assert report.violations == []


def test_a_copy_and_a_repair_are_counted() -> None:
    story = sound_story()
    repaired(story)
    repeated(story)
    counts = check(story.operations, story.dump()).counts
    assert (counts["republished"], counts["out_of_order"]) == (1, 1)


def test_a_report_says_first_whether_the_run_was_sound() -> None:
    story = sound_story()
    lost_event(story)
    report = json.loads(check(story.operations, story.dump()).text())
    assert next(iter(report)) == "sound"
    assert (report["sound"], report["counts"]["executions"]) == (False, 1)
