"""`flexcore demo`: a stack, a real pipeline in it, its steps as they happen, its result.

stack ─► create or revise ─► activate ─► execute ─► steps, live ─► rows of PostgreSQL ─► what next
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from domain.errors import Refused, Unavailable
from gateway.cli.client import Api, connected
from gateway.cli.execution import outcome_of
from gateway.cli.options import Write
from gateway.cli.output import console, table, tell
from gateway.cli.pipeline import read_file
from gateway.cli.watching import watched
from gateway.settings import read
from services.dev import Stack, read_endpoints, start_stack
from services.embedded.jars import ROOT
from services.endpoints import Endpoints
from services.progress import console_progress

PIPELINE_FILE = ROOT / "examples" / "seattle.yaml"
EXAMPLE = "seattle"
TABLE = "seattle_monthly"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
RESULT = {
    "MONTH": "month",
    "DAYS": "count",
    "WARMEST °C": "mean_temp_max",
    "COLDEST °C": "mean_temp_min",
    "RAIN mm": "mean_precipitation",
    "NORMAL °C": "mean_celsius",
}


def run_demo(data_dir: Path, *, stay: bool) -> int:
    """Run the example over `data_dir`, in the stack that runs there or in a new one; the exit code.

    Raises Unavailable (`stack.failed`), and what the api raises.
    """
    with _stack(data_dir) as running:
        code = _run_example(running.endpoints)
        ends = running.stack is not None and not stay
        if code == 0:
            _tell_next(running.endpoints, ends=ends)
        if code == 0 and not ends and running.stack is not None:
            # Ctrl-C is how it is meant to end, whenever it comes.
            with suppress(KeyboardInterrupt):
                tell("\nThe stack stays up; Ctrl-C ends it.")
                running.stack.wait()
            tell("stopping")
    return code


@dataclass(frozen=True, slots=True)
class _Running:
    """Where a stack is; `stack` is `None` where it is somebody else's."""

    endpoints: Endpoints
    stack: Stack | None


@contextmanager
def _stack(data_dir: Path) -> Iterator[_Running]:
    try:
        theirs = _Running(read_endpoints(data_dir), None)
    except Unavailable:
        theirs = None
    if theirs is not None:
        tell(f"using the stack that runs over {data_dir}")
        yield theirs
        return
    # The example's paths are those of the clone, wherever the caller stands.
    settings = read(flags={"data_dir": data_dir, "files": {"root": ROOT}})
    with console_progress() as on_progress:
        stack = start_stack(settings, data_dir=data_dir, on_progress=on_progress)
    with stack:
        yield _Running(stack.endpoints, stack)


def _run_example(endpoints: Endpoints) -> int:
    pipeline = read_file(str(PIPELINE_FILE))
    path = f"/v1/pipelines/{pipeline['pipeline_id']}"
    with connected(endpoints.api) as client:
        api = Api(client)
        made = _created_or_revised(api, path, pipeline)
        tell(f"pipeline {pipeline['pipeline_id']}, revision {made.get('revision', '?')}: {path}")
        api.write("POST", f"{path}/activate", {"reason": "demo"}, Write())
        started = api.write("POST", f"{path}/executions", {"input": {}}, Write())
        execution_id = _execution_id(started.body)
        tell(f"execution {execution_id}:")
        run = watched(api, execution_id, at_least=started.position)
    code = outcome_of(run)
    if code == 0 and endpoints.data_database is not None:
        _print_result(endpoints.data_database, execution_id)
    return code


def _created_or_revised(api: Api, path: str, pipeline: dict[str, Any]) -> dict[str, Any]:
    """The pipeline as it is in its file, also where an older demo has left another one."""
    try:
        reply = api.write("POST", "/v1/pipelines", pipeline, Write())
    except Refused as error:
        if error.code != "pipeline.already_exists":
            raise
        reply = api.write("PUT", path, pipeline, Write())
    found: dict[str, Any] = reply.body
    return found


def _execution_id(body: dict[str, Any]) -> str:
    # An outcome, where the read model is late, calls it by its other name.
    return str(body.get("execution_id") or body["aggregate_id"])


def _print_result(url: str, execution_id: str) -> None:
    query = sql.SQL("SELECT * FROM {} WHERE _run = %s ORDER BY month").format(sql.Identifier(TABLE))
    with psycopg.connect(url) as connection:
        rows = connection.cursor(row_factory=dict_row).execute(query, [execution_id]).fetchall()
    tell(f"\nMeans of a day by month, 2012 to 2015, beside the hourly normals (table {TABLE}):")
    console().print(table([{**row, "month": MONTHS[row["month"] - 1]} for row in rows], RESULT))


def _tell_next(endpoints: Endpoints, *, ends: bool) -> None:
    if not ends:
        tell(
            f"\n  API       {endpoints.api}/docs\n"
            f"  tables    {endpoints.projector}/v1/tables\n"
            f"  registry  {endpoints.registry}/subjects\n"
            f"  Kafka     {endpoints.kafka}"
        )
    when = "once the stack runs again (flexcore dev)" if ends else "in another terminal"
    tell(
        f"\nTry next, {when}:\n"
        f"  ./flexcore pipeline execute {EXAMPLE} --wait 30\n"
        f"  ./flexcore events read pipeline/{EXAMPLE}\n"
        "  ./flexcore execution list -o json"
    )
