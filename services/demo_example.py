"""The demo's pipeline in a running stack: create or revise, activate, execute, watch, show its rows."""

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from domain.errors import Refused
from gateway.cli.client import Api, connected
from gateway.cli.execution import outcome_of
from gateway.cli.options import Write
from gateway.cli.output import console, table, tell
from gateway.cli.pipeline import read_file
from gateway.cli.watching import watched
from services.endpoints import Endpoints
from services.installation import SHIPPED

PIPELINE_FILE = SHIPPED / "examples" / "seattle.yaml"
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


def run_example(endpoints: Endpoints) -> int:
    """Make, run and show the example; the exit code. Raises what the api raises."""
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
