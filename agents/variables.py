"""What a step's expressions may use: outputs and fate of the steps before it, and its run."""

from collections.abc import Iterator, Mapping
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
        "steps": _Steps(run.steps),
        "input": orjson.loads(run.input_json),
        "execution": {
            # As clients know them, below their tenant.
            "id": run.execution_id.rpartition("~")[2],
            "pipeline_id": run.pipeline_id.rpartition("~")[2],
            "revision": run.revision,
            "started_at": time_text(run.started_at),
            "scheduled_for": None if run.scheduled_for is None else time_text(run.scheduled_for),
        },
    }


class _Steps(Mapping[str, Any]):
    """Reads only the outputs that are asked for: of a thousand steps each needs a few."""

    def __init__(self, steps: Mapping[str, StepState]) -> None:
        self._steps = steps

    def __getitem__(self, step_id: str) -> Any:
        return _step(self._steps[step_id])

    def __contains__(self, step_id: object) -> bool:
        return step_id in self._steps

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)


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
