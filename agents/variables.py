"""What a step's expressions may use: outputs and fate of the steps before it, and its run."""

from typing import Any, assert_never

import orjson

from domain.execution.state import (
    Failed,
    Pending,
    Running,
    Scheduled,
    Skipped,
    StepState,
    Succeeded,
)
from streams.records import time_text


def variables_of(run: Running) -> dict[str, Any]:
    """`steps.<id>` with `status`, and `output` or `error` where there is one; `input`; `execution`."""
    return {
        "steps": {step_id: _step(step) for step_id, step in run.steps.items()},
        "input": orjson.loads(run.input_json),
        "execution": {
            # As clients know them, below their tenant.
            "id": run.execution_id.rpartition("~")[2],
            "pipeline_id": run.pipeline_id.rpartition("~")[2],
            "revision": run.revision,
            "started_at": time_text(run.started_at),
        },
    }


def _step(step: StepState) -> dict[str, Any]:
    match step:
        case Succeeded():
            return {"status": "succeeded", "output": orjson.loads(step.output_json)}
        case Failed():
            return {"status": "failed", "error": {"code": step.error_code}}
        case Skipped():
            return {"status": "skipped"}
        case Pending() | Scheduled():
            return {"status": "pending"}
        case _:
            assert_never(step)
