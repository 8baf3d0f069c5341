"""What must hold of each execution's history.

started once ─► a step: scheduled (deliveries 1..n) ─► one result per attempt ─► one end, and no more
"""

from collections.abc import Sequence

from tests.faults.logged import LoggedEvent
from tests.faults.report import Report

_ENDS = ("ExecutionCompleted", "ExecutionFailed", "ExecutionCancelled")
_RESULTS = ("PipelineStepCompleted", "PipelineStepFailed")


def check(events: Sequence[LoggedEvent], report: Report) -> None:
    """Check one execution; `events` are all of it, by version."""
    name = events[0].aggregate
    types = [event.type for event in events]
    ends = [number for number, kind in enumerate(types) if kind in _ENDS]
    starts = [number for number, kind in enumerate(types) if kind == "ExecutionStarted"]
    report.counts["executions"] += 1
    report.counts["steps_done"] += types.count("PipelineStepCompleted")
    for event in events:
        if event.type == "ExecutionFailed":
            report.counts[f"executions failed by {event.code}"] += 1
    report.require(
        [(starts == [0], f"execution {name} starts at {starts}, not once at first")],
        "started-once",
    )
    if not ends:
        report.violate("ended", f"execution {name} never ended; its last event is {types[-1]}")
    elif len(ends) > 1:
        report.violate("one-end", f"execution {name} ended {len(ends)} times")
    elif ends[0] != len(events) - 1:
        report.violate("nothing-after-end", f"execution {name} goes on with {types[ends[0] + 1]}")
    _check_steps(name, events, report)


def _check_steps(name: str, events: Sequence[LoggedEvent], report: Report) -> None:
    deliveries: dict[tuple[str, int], int] = {}
    results: set[tuple[str, int]] = set()
    completed: set[str] = set()
    for event in events:
        attempt = event.step, event.attempt
        if event.type == "PipelineStepScheduled":
            expected = deliveries.get(attempt, 0) + 1
            deliveries[attempt] = event.delivery
            report.counts["redeliveries"] += event.delivery > 1
            if event.delivery != expected:
                what = f"execution {name}, {attempt}: delivery {event.delivery}, not {expected}"
                report.violate("deliveries", what)
            if event.step in completed:
                report.violate("one-result", f"execution {name}: {event.step} ran after its end")
        elif event.type in _RESULTS:
            if attempt in results:
                report.violate("one-result", f"execution {name}, {attempt}: two results")
            if attempt not in deliveries:
                report.violate("deliveries", f"execution {name}, {attempt}: was never scheduled")
            results.add(attempt)
            if event.type == "PipelineStepCompleted":
                completed.add(event.step)
