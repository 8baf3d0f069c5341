"""A campaign goes on with what lacks most, and its trials leave each other's victims alone."""

import random
from pathlib import Path
from typing import Any

from tests.faults.campaign import plan
from tests.faults.harm import Claims
from tests.faults.history import Fault
from tests.faults.report import Report
from tests.faults.results import Kind, Results, Summary
from tests.faults.segment import Done
from tests.faults.table import all_trials
from tests.faults.workers import Slot

ONLY = ("F02", "F05")


def slot(number: int) -> Slot:
    return Slot(number, 0, Path("worker.log"), "")


def test_kinds_that_lack_most_are_planned() -> None:
    found = Summary(kinds={"F02 longer than the session": Kind(trials=1_000)})
    chosen = plan(found, 1, ONLY, random.Random(1))
    assert {one.name for one in chosen} == {"F05 storm"}


def test_what_needs_the_only_broker_is_not_planned_for_three() -> None:
    needs_one = {one.name for one in all_trials() if one.row.brokers == 1}
    needs_three = {one.name for one in all_trials() if one.row.brokers == 3}
    chosen = {one.name for one in plan(Summary(), 3, (), random.Random(1))}
    assert chosen & needs_three
    assert not chosen & needs_one


def test_a_worker_is_one_trial_s_victim_until_it_is_given_back() -> None:
    claims = Claims()
    assert claims.take(slot(0))
    assert not claims.take(slot(0))
    assert claims.take(slot(1))
    claims.give_back([slot(0)])
    assert claims.take(slot(0))


def fault(**changes: Any) -> Fault:
    values: dict[str, Any] = {
        "fault": "F05",
        "kind": "storm",
        "slot": -1,
        "pid": 0,
        "start": 1.0,
        "end": 2.0,
        "sound": True,
        "evidence": {},
    }
    return Fault(**values | changes)


def test_campaigns_side_by_side_add_up_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "faults.jsonl"
    for seed in (1, 2):
        report = Report(faults=[fault(), fault(sound=False)])
        report.counts["commands"] = 10
        Results(file).append(1, seed, 1, Done(report.faults, report))
    found = Results(file).summary()
    assert (found.segments, found.trials, found.counts["commands"]) == (2, 2, 20)
    assert found.kinds["F05 storm"].void == 2
