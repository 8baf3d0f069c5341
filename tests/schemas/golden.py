"""Bytes as they were once written, each with the schema of its time; lines are only ever added.

`python -m tests.schemas.golden` adds one for each record whose schema has none yet.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from domain.definition import OnError, Retry, Step
from domain.execution import messages as execution
from domain.pipeline import pipeline
from domain.schedule import CatchUp, Schedule
from schemas import catalogue
from schemas.outcome import Outcome
from tests.domain.given import NOON, after
from tests.domain.samples import definition, step
from tests.schemas.messages import codec, plain

FILE = Path(__file__).parents[1] / "histories" / "records.jsonl"

_RETRY = Retry(attempts=3, initial_s=0.5, factor=2.0, max_s=30.0, jitter=True)
_STEPS: tuple[Step, ...] = (
    step("read", with_json='{"path": "a.csv"}', when="true", timeout_s=60.0),
    step("store", "read", retry=_RETRY, on_error=OnError.CONTINUE),
)
_RUN = "01890a5d-ac96-774b-bcce-b302099a8057"
_OF = definition(*_STEPS)
_WHEN = Schedule("0 6 * * 1-5", "Europe/Berlin", CatchUp.ALL, '{"day": 1}')

SAMPLES = (
    pipeline.CreatePipeline("p1", "Wetter ☀", "by month", _OF, _WHEN),
    pipeline.RevisePipeline("p1", "Weather", "", _OF),
    pipeline.ActivatePipeline("p1", "it is time"),
    pipeline.PausePipeline("p1", "the source is down"),
    pipeline.ArchivePipeline("p1", ""),
    pipeline.PipelineCreated("p1", 1, "abc", "Weather", "ada", NOON, "by month", _OF),
    pipeline.PipelineRevised("acme~p1", 2, "abd", "Weather", "ada", NOON, "", _OF, _WHEN),
    pipeline.PipelineActivated("p1", "ada", after(0.000001), ""),
    pipeline.PipelinePaused("p1", "ada", after(1), "the source is down"),
    pipeline.PipelineArchived("acme~p1", "ada", after(2), ""),
    pipeline.PipelineScheduleFired("p1", _RUN, NOON, 3, after(0.5), '{"day": 1}'),
    execution.ExecutePipeline(_RUN, "p1", 1.5, -1, '{"day": "2026-03-01"}', NOON),
    execution.CancelExecution(_RUN, "wrong input"),
    execution.ExecutionStarted(_RUN, "p1", 2, "abd", "ada", NOON, after(60), "{}", _OF),
    execution.PipelineStepScheduled(_RUN, "read", 1, 2, after(5), NOON, "p1"),
    execution.PipelineStepCompleted(_RUN, "read", 1, 0.25, after(6), "p1", '{"rows": 3}'),
    execution.PipelineStepFailed(_RUN, "store", 1, after(9), after(8), "step.lost", "p1", "gone"),
    execution.PipelineStepSkipped(_RUN, "store", after(9), "p1", "needs"),
    execution.ExecutionCompleted(_RUN, "p1", after(10), "{}"),
    execution.ExecutionCancelled(_RUN, "p1", after(11), None, "execution.cancelled", "wrong input"),
    execution.ExecutionFailed(_RUN, "p1", after(10), None, "step.lost", "gone"),
    Outcome("p1", (1, 2), "pipeline/3@12345", "pipeline.not_active", "activate it first"),
)


@dataclass(frozen=True)
class Golden:
    """`body` in hex, without schema id; `data` as it is to be read."""

    record: str
    schema: dict[str, Any]
    body: str
    data: dict[str, Any]


def goldens() -> Iterator[Golden]:
    """Every line, the oldest first."""
    if FILE.exists():
        for line in FILE.read_text().splitlines():
            yield Golden(**json.loads(line))


def readable(value: Any) -> Any:
    """Plain data with times as text, as it stands in the file."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return [readable(item) for item in value]
    if isinstance(value, dict):
        return {name: readable(item) for name, item in value.items()}
    return value


def add_missing() -> list[str]:
    """Add a line for each committed schema that has none; returns the records."""
    there = [(golden.record, golden.schema) for golden in goldens()]
    added = []
    with FILE.open("a") as file:
        for message in SAMPLES:
            record = catalogue.full_names()[type(message)]
            schema = json.loads(catalogue.committed(record))
            if (record, schema) not in there:
                body = codec().encode(message)[5:].hex()
                line = Golden(record, schema, body, readable(plain(message)))
                file.write(json.dumps(vars(line)) + "\n")
                added.append(record)
    return added


if __name__ == "__main__":
    for added_record in add_missing():
        print(added_record)
