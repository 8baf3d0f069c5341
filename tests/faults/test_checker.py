"""The checker finds every planted corruption."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.pipeline.pipeline import CreatePipeline
from tests.faults.checker import check
from tests.faults.history import Operation
from tests.faults.load import REVISED
from tests.faults.logged import LoggedEvent
from tests.faults.stories import RUN, Story, sound_story

Tamper = Callable[[Story], None]
GARBAGE = ("pipeline", "\ufffd", "")


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
    story.ask("p")
    del story.commands[-1]


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


def dead_command(story: Story) -> None:
    story.bury(story.commands[0])


def nothing_kept_of_garbage(story: Story) -> None:
    story.put(GARBAGE, "")


def garbage_kept_twice(story: Story) -> None:
    garbage = story.put(GARBAGE, "")
    story.bury(garbage)
    story.bury(garbage)


def garbage_changed(story: Story) -> None:
    story.bury(replace(story.put(GARBAGE, ""), digest="other bytes"))


def passed_over(story: Story) -> None:
    asked = story.ask("p")
    story.operations.append(replace(asked, phase="unknown", code="undelivered"))


def wrong_decision(story: Story) -> None:
    number = find(story, "PipelineRevised")
    body = replace(story.events[number].body, revision=7)
    change(story, number, body=body)


def decided_though_refused(story: Story) -> None:
    """A pipeline is created that exists."""
    asked = story.revise("p")
    at = next(n for n, c in enumerate(story.commands) if c.identity == asked.identity)
    created = CreatePipeline("p", asked.payload, "", REVISED)
    story.commands[at] = replace(story.commands[at], body=created)


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
    (dead_command, "dead-letters"),
    (nothing_kept_of_garbage, "dead-letters"),
    (garbage_kept_twice, "dead-letters"),
    (garbage_changed, "dead-letters"),
    (passed_over, "offset-honest"),
    (wrong_decision, "decided"),
    (decided_though_refused, "decided"),
    (open_transaction, "open-transaction"),
]


@pytest.mark.parametrize(
    ("tamper", "rule"), PLANTED, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_planted_corruption_is_found(tamper: Tamper, rule: str) -> None:
    story = sound_story()
    tamper(story)
    assert rule in check(story.operations, story.dump()).rules


def test_a_torn_commit_excuses_a_second_dead_letter_and_nothing_else() -> None:
    for tamper, rule in PLANTED:
        story = sound_story()
        tamper(story)
        found = check(story.operations, story.dump(), torn=True).rules
        assert (rule in found) == (tamper is not garbage_kept_twice), tamper
