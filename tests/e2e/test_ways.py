"""Ways that a run can go, as a user asks for them: conditions, failures, deadlines, cancelling."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Demonstrated
from tests.e2e.product import Product

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

READ = "examples/data/seattle-weather.csv"
MISSING = {"path": "not/there.csv"}
WAYS = [
    {"id": "read", "uses": "flexcore.csv_read", "with": {"path": "${{ input.path }}"}},
    {
        "id": "many",
        "uses": "flexcore.filter",
        "needs": ["read"],
        "when": "steps.read.output.count > 1000000",
        "with": {"rows": "${{ steps.read.output.rows }}", "where": "true"},
    },
    {
        "id": "after_many",
        "uses": "flexcore.filter",
        "needs": ["many"],
        "with": {"rows": "${{ steps.many.output.rows }}", "where": "true"},
    },
    {"id": "broken", "uses": "flexcore.csv_read", "on_error": "continue", "with": MISSING},
    {
        "id": "tidy",
        "uses": "flexcore.derive",
        "needs": ["broken"],
        "when": "steps.broken.status == 'failed'",
        "with": {
            "rows": [{"run": "${{ execution.id }}", "why": "${{ steps.broken.error.code }}"}],
            "set": {"told": "true"},
        },
    },
]
LATER = [
    {
        "id": "store",
        "uses": "flexcore.ndjson_write",
        "with": {"path": "README.md/rows.ndjson", "rows": []},
        "retry": {"attempts": 2, "initial_s": 600, "factor": 1, "max_s": 600, "jitter": False},
    }
]
"""A file is no folder; ten minutes later it may be one."""


def made(product: Product, folder: Path, name: str, steps: list[Any]) -> None:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"pipeline_id": name, "name": name, "steps": steps}))
    product.run("pipeline", "create", "-f", str(path))
    product.run("pipeline", "activate", name)


def test_what_is_skipped_and_what_is_put_up_with_is_told(
    demonstrated: Demonstrated, tmp_path: Path
) -> None:
    product = demonstrated.product
    made(product, tmp_path, "ways", WAYS)

    run = product.json(
        "pipeline", "execute", "ways", "--wait", "60", "--input", json.dumps({"path": READ})
    )

    assert run["status"] == "succeeded"
    assert {step["step_id"]: step["status"] for step in run["steps"]} == {
        "read": "succeeded",
        "many": "skipped",
        "after_many": "skipped",
        "broken": "failed",
        "tidy": "succeeded",
    }
    (told,) = run["output"]["tidy"]["rows"]
    assert (told["run"], told["told"]) == (run["execution_id"], True)
    assert told["why"] == run["steps"][3]["error"]["code"]


def test_a_run_fails_at_its_deadline(demonstrated: Demonstrated, tmp_path: Path) -> None:
    product = demonstrated.product
    made(product, tmp_path, "in-time", LATER)

    started = product.json("pipeline", "execute", "in-time", "--deadline", "1")
    line = f"./flexcore execution watch {started['execution_id']} || echo $?"
    watched = product.shell(line)

    assert watched.stdout.splitlines()[-1] == "1"
    assert "the run failed: the run was not done within 1 s" in watched.stderr


def test_a_run_is_cancelled_and_stays_so(demonstrated: Demonstrated, tmp_path: Path) -> None:
    product = demonstrated.product
    made(product, tmp_path, "long", LATER)
    run_id = product.json("pipeline", "execute", "long")["execution_id"]

    cancelled = product.json("execution", "cancel", run_id, "--reason", "wrong file")
    again = product.json("execution", "cancel", run_id)

    assert (cancelled["status"], cancelled["error"]["message"]) == ("cancelled", "wrong file")
    assert cancelled["steps"][0]["status"] == "cancelled"
    assert again == cancelled
    listed = product.json("execution", "list", "--status", "cancelled")
    assert [run["execution_id"] for run in listed] == [run_id]
