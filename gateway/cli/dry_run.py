"""`--dry-run`: what a command would do, judged here by the rules that the worker judges by.

what is there (GET) ─► the aggregate's state ─► decide ─► the events that would come, or the refusal

Nothing is sent, so nothing is promised: whoever asks at the same time may be first.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote

import orjson

from domain.contexts import CONTEXTS
from domain.decider import Facts
from domain.definition import Definition
from domain.errors import NotFound
from domain.execution.execution import EXECUTION
from domain.execution.messages import PipelineStepScheduled
from domain.execution.state import Absent as NoExecution
from domain.execution.state import End, Ended, Running
from domain.execution.state import State as Run
from domain.pipeline.pipeline import PIPELINE, Absent, Pipeline, PipelineEvent, State, Status
from gateway.cli.client import Api
from gateway.cli.options import Format, Write
from gateway.cli.output import View, show, tell
from gateway.json_shapes import command_from_json
from plugins.templates import expression_problems
from projections import pipelines
from projections.projection import Meta
from projections.values import dumps
from streams.judging import version_conflict
from streams.records import parse_expected_version

Plan = Mapping[str, Any]

PLAN = View(
    name="id",
    columns={"ID": "id", "EVENTS": "events"},
    parts={"changes": {"CHANGE": "place", "BEFORE": "before", "AFTER": "after"}},
)
_TOP = ("name", "description", "schedule")
"""Fields of a pipeline file beside `pipeline_id` and `steps`."""


def tell_plan(plan: Plan, form: Format) -> None:
    """Print what would happen."""
    show(plan, PLAN, form)
    tell("a dry run: nothing was sent")


def of_pipeline(
    api: Api, command: str, pipeline_id: str, data: Mapping[str, Any], how: Write
) -> Plan:
    """What a command would do to a pipeline; raises what the worker would refuse it with."""
    row = _found(api, "pipelines", pipeline_id)
    _expect("pipeline", pipeline_id, row, how)
    before = _pipeline(row)
    asked = command_from_json(command, pipeline_id, data)
    events = PIPELINE.decide(asked, before, _facts())
    after = cast(Pipeline, PIPELINE.fold(events, before))
    revised = row is not None and after.revision != row["revision"]
    return {
        "id": pipeline_id,
        "events": [type(event).__name__ for event in events],
        "status": after.status.value,
        "revision": after.revision,
        "changes": list(_changes(row, _row(pipeline_id, data))) if row and revised else [],
    }


def of_start(api: Api, pipeline_id: str, body: Mapping[str, Any], how: Write) -> Plan:
    """Which steps a run would begin with; raises what the worker would refuse it with."""
    execution_id = body.get("execution_id")
    run = None if execution_id is None else _found(api, "executions", execution_id)
    _expect("execution", execution_id or "", run, how)
    pipeline = _pipeline(_found(api, "pipelines", pipeline_id))
    data = {
        **body.get("options", {}),
        "pipeline_id": pipeline_id,
        "input": body["input"],
    }
    asked = command_from_json("ExecutePipeline", execution_id or str(uuid.uuid4()), data)
    pinned = pipeline.pinned() if isinstance(pipeline, Pipeline) else None
    events = EXECUTION.decide(asked, _run(run), replace(_facts(), pipeline=pinned))
    return {
        "id": execution_id,
        "events": [type(event).__name__ for event in events],
        "revision": pinned and pinned.revision,
        "first_steps": [one.step_id for one in events if isinstance(one, PipelineStepScheduled)],
    }


def of_execution(
    api: Api, command: str, execution_id: str, data: Mapping[str, Any], how: Write
) -> Plan:
    """What a command would do to a run; raises what the worker would refuse it with."""
    run = _found(api, "executions", execution_id)
    _expect("execution", execution_id, run, how)
    asked = command_from_json(command, execution_id, data)
    events = EXECUTION.decide(asked, _run(run), _facts())
    return {"id": execution_id, "events": [type(event).__name__ for event in events]}


def _found(api: Api, kind: str, local: str) -> dict[str, Any] | None:
    try:
        row: dict[str, Any] = api.get(f"/v1/{kind}/{quote(local, safe='')}").body
    except NotFound:
        return None
    return row


def _expect(context: str, local: str, row: Mapping[str, Any] | None, how: Write) -> None:
    expected = parse_expected_version(how.expected_version or "any")
    version = 0 if row is None else row["version"]
    if not expected.accepts(version):
        raise version_conflict(CONTEXTS[context], local, version, expected)


def _facts() -> Facts:
    return Facts(at=datetime.now(UTC), actor="", expression_problems=expression_problems)


def _pipeline(row: Mapping[str, Any] | None) -> State:
    """The state that a row stands for, as if it had been created so."""
    if row is None:
        return Absent()
    state = cast(Pipeline, PIPELINE.fold([_created(row["pipeline_id"], of_file(row))]))
    return replace(state, status=Status(row["status"]), revision=row["revision"])


def _created(pipeline_id: str, data: Mapping[str, Any]) -> PipelineEvent:
    create = command_from_json("CreatePipeline", pipeline_id, data)
    # What stands there was accepted once; today's rules for expressions are for what comes.
    (event,) = PIPELINE.decide(create, Absent(), Facts(at=datetime.now(UTC), actor=""))
    return event


def _row(pipeline_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline of a command as the api would show it."""
    row = pipelines.fold(None, _created(pipeline_id, data), Meta(pipeline_id, 1))
    return dict(orjson.loads(dumps(row)))


def _run(row: Mapping[str, Any] | None) -> Run:
    """The state of a run as far as commands from outside ask for it."""
    if row is None:
        return NoExecution()
    if row["ended_at"] is not None:
        return Ended(row["execution_id"], End(row["status"]))
    return Running(
        execution_id=row["execution_id"],
        pipeline_id=row["pipeline_id"],
        revision=row["revision"],
        started_at=datetime.fromisoformat(row["started_at"]),
        deadline_at=None,
        steps={},
        input_json="{}",
        definition=Definition(()),
    )


def of_file(file: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` of a command, from a pipeline file or a pipeline as the api shows it."""
    given = {name: file[name] for name in _TOP if file.get(name) is not None}
    return {**given, "definition": {"steps": file["steps"]}}


# ── changes ──────────────────────────────────────────────────────────────────────────────


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every place of the pipeline file that another value would stand at."""
    old, new = dict(_places(before)), dict(_places(after))
    for place in dict.fromkeys([*old, *new]):
        if old.get(place) != new.get(place):
            yield {"place": place, "before": old.get(place), "after": new.get(place)}


def _places(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in _TOP:
        yield from _leaves(name, row.get(name))
    for step in row.get("steps", ()):
        yield from _leaves(f"steps.{step['id']}", step)


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, one in value.items():
            yield from _leaves(f"{place}.{name}", one)
    elif value not in (None, ""):
        yield place, value
