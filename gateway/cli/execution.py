"""`flexcore execution`: get, list, watch, cancel."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from cyclopts import App

from gateway.cli import places
from gateway.cli.client import Api, connected
from gateway.cli.options import COMMON, WRITE, Common, Write
from gateway.cli.output import View, show, show_all, tell

STEPS = {
    "STEP": "step_id",
    "STATUS": "status",
    "ATTEMPT": "attempt",
    "SECONDS": "duration_s",
    "ROWS": "output.count",
    "ERROR": "error.message",
}
EXECUTION = View(
    name="execution_id",
    columns={
        "EXECUTION": "execution_id",
        "PIPELINE": "pipeline_id",
        "REVISION": "revision",
        "STATUS": "status",
        "STARTED": "started_at",
        "ENDED": "ended_at",
    },
    parts={"steps": STEPS},
)
ENDED = frozenset({"succeeded", "failed", "cancelled"})
_ENDED_AS = {"cancelled": "was cancelled"}

app = App(
    name="execution", help="Look at runs of pipelines, and cancel them.", help_format="plaintext"
)


@app.command
def get(execution_id: str, *, common: Common = COMMON) -> None:
    """Show a run with its steps."""
    with connected(places.api_url(common)) as client:
        show(Api(client).get(path_of(execution_id)).body, EXECUTION, common.output)


@app.command(name="list")
def list_(
    *,
    pipeline: str | None = None,
    status: str | None = None,
    since: str | None = None,
    oldest_first: bool = False,
    limit: int = 50,
    cursor: str | None = None,
    common: Common = COMMON,
) -> None:
    """List runs, last started first.

    Parameters
    ----------
    pipeline
        of this pipeline
    status
        running, succeeded, failed …
    since
        started at this time or later, such as 2026-01-31T12:00:00Z
    oldest_first
        last started last
    limit
        how many at most
    cursor
        where the last page ended
    """
    from gateway.cli.pipeline import tell_more

    with connected(places.api_url(common)) as client:
        page = Api(client).get(
            "/v1/executions",
            pipeline=pipeline,
            status=status,
            since=since,
            sort="started_at" if oldest_first else None,
            limit=limit,
            cursor=cursor,
        )
    show_all(page.body["items"], EXECUTION, common.output)
    tell_more(page.body)


@app.command
def watch(execution_id: str, *, common: Common = COMMON) -> int:
    """Follow a run to its end; exit code 1 when it fails."""
    from gateway.cli.watching import watched

    with connected(places.api_url(common)) as client:
        ended = watched(Api(client), execution_id, live=common.output == "table")
    if common.output != "table":
        show(ended, EXECUTION, common.output)
    return outcome_of(ended)


@app.command
def cancel(
    execution_id: str, *, reason: str = "", common: Common = COMMON, write: Write = WRITE
) -> None:
    """Cancel a run: its steps are asked to end, and ended where they do not within seconds.

    Parameters
    ----------
    reason
        why, for the history
    """
    with connected(places.api_url(common)) as client:
        if write.dry_run:
            from gateway.cli import dry_run

            data = {"reason": reason}
            plan = dry_run.of_execution(Api(client), "CancelExecution", execution_id, data, write)
            dry_run.tell_plan(plan, common.output)
            return
        path = f"{path_of(execution_id)}/cancel"
        cancelled = Api(client).write("POST", path, {"reason": reason}, write)
    show(cancelled.body, EXECUTION, common.output)


def outcome_of(run: Mapping[str, Any], *, wait_s: float = 0.0) -> int:
    """The exit code that a run stands for; a message says what went wrong."""
    status = run.get("status")
    if status == "succeeded":
        return 0
    if status not in ENDED:
        tell(f"the run has not ended within {wait_s:g} s; see `flexcore execution watch`")
        return 6
    error = run.get("error") or {}
    step = "" if error.get("step_id") is None else f" at step {error['step_id']}"
    tell(f"the run {_ENDED_AS.get(status, status)}{step}: {error.get('message')}")
    return 1


def path_of(execution_id: str) -> str:
    return f"/v1/executions/{quote(execution_id, safe='')}"
