"""`flexcore pipeline`: validate, create, revise, activate, pause, archive, get, list, execute, schema."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import App, Parameter

from domain.errors import FlexCoreError, Invalid, NotFound
from domain.json_text import parse_json
from gateway.cli import places
from gateway.cli.client import Api, connected
from gateway.cli.execution import EXECUTION, outcome_of
from gateway.cli.options import COMMON, SHOWN, WRITE, Common, Shown, Write
from gateway.cli.output import View, show, show_all, tell

PIPELINE = View(
    name="pipeline_id",
    columns={
        "PIPELINE": "pipeline_id",
        "STATUS": "status",
        "REVISION": "revision",
        "NAME": "name",
        "NEXT RUN": "next_run_at",
        "UPDATED": "updated_at",
    },
    parts={"steps": {"STEP": "id", "USES": "uses", "NEEDS": "needs", "WITH": "with"}},
)
PROBLEM = View(name="what", columns={"LINE": "line", "COLUMN": "column", "WHAT": "what"})
SCHEMA = View(name="title", columns={})
File = Annotated[
    str,
    Parameter(
        name=["--file", "-f"],
        help="pipeline file, YAML or JSON; - = stdin; with or without -f before it",
    ),
]

app = App(name="pipeline", help="Make pipelines and run them.", help_format="plaintext")


@app.command
def validate(file: File, *, shown: Shown = SHOWN) -> int:
    """Say everything that is wrong with a pipeline file, with its lines; exit code 7 where anything is."""
    from gateway.pipeline_problems import problems_of
    from plugins.builtin import BUILTIN

    found = problems_of(_bytes(file), BUILTIN)
    if found or shown.output != "table":
        show_all([asdict(one) for one in found], PROBLEM, shown.output)
    tell(f"{file}: {len(found)} {'problem' if len(found) == 1 else 'problems'}")
    return Invalid.exit_code if found else 0


@app.command
def schema() -> None:
    """Print the JSON Schema of pipeline files, for editors."""
    from gateway.pipeline_file import json_schema

    show(json_schema(), SCHEMA, "json")


@app.command
def create(file: File, *, common: Common = COMMON, write: Write = WRITE) -> None:
    """Create a pipeline from a file."""
    body = read_file(file)
    with connected(places.api_url(common)) as client:
        if write.dry_run:
            _tell_plan(Api(client), "CreatePipeline", body, common, write)
            return
        made = Api(client).write("POST", "/v1/pipelines", body, write)
    show(made.body, PIPELINE, common.output)


@app.command
def revise(file: File, *, common: Common = COMMON, write: Write = WRITE) -> None:
    """Give the pipeline of a file the definition that the file has now."""
    body = read_file(file)
    with connected(places.api_url(common)) as client:
        if write.dry_run:
            _tell_plan(Api(client), "RevisePipeline", body, common, write)
            return
        made = Api(client).write("PUT", _path(body["pipeline_id"]), body, write)
    show(made.body, PIPELINE, common.output)


@app.command
def activate(
    pipeline_id: str, *, reason: str = "", common: Common = COMMON, write: Write = WRITE
) -> None:
    """Activate a pipeline, so that it can be executed.

    Parameters
    ----------
    reason
        why, for the history
    """
    _ask(pipeline_id, "activate", reason, common, write)


@app.command
def pause(
    pipeline_id: str, *, reason: str = "", common: Common = COMMON, write: Write = WRITE
) -> None:
    """Pause a pipeline: no new run starts, those that go on are left alone.

    Parameters
    ----------
    reason
        why, for the history
    """
    _ask(pipeline_id, "pause", reason, common, write)


@app.command
def archive(
    pipeline_id: str, *, reason: str = "", common: Common = COMMON, write: Write = WRITE
) -> None:
    """Archive a pipeline for good; its history and its id stay.

    Parameters
    ----------
    reason
        why, for the history
    """
    _ask(pipeline_id, "archive", reason, common, write)


def _ask(pipeline_id: str, what: str, reason: str, common: Common, write: Write) -> None:
    with connected(places.api_url(common)) as client:
        if write.dry_run:
            from gateway.cli import dry_run

            command, data = f"{what.capitalize()}Pipeline", {"reason": reason}
            plan = dry_run.of_pipeline(Api(client), command, pipeline_id, data, write)
            dry_run.tell_plan(plan, common.output)
            return
        path = f"{_path(pipeline_id)}/{what}"
        made = Api(client).write("POST", path, {"reason": reason}, write)
    show(made.body, PIPELINE, common.output)


def _tell_plan(
    api: Api, command: str, file: Mapping[str, Any], common: Common, write: Write
) -> None:
    from gateway.cli import dry_run

    data = dry_run.of_file(file)
    plan = dry_run.of_pipeline(api, command, file["pipeline_id"], data, write)
    dry_run.tell_plan(plan, common.output)


@app.command
def get(pipeline_id: str, *, common: Common = COMMON) -> None:
    """Show a pipeline."""
    with connected(places.api_url(common)) as client:
        show(Api(client).get(_path(pipeline_id)).body, PIPELINE, common.output)


@app.command(name="list")
def list_(
    *,
    status: str | None = None,
    name: str | None = None,
    oldest_first: bool = False,
    limit: int = 50,
    cursor: str | None = None,
    common: Common = COMMON,
) -> None:
    """List pipelines, last changed first.

    Parameters
    ----------
    status
        draft, active, paused or archived
    name
        the exact name
    oldest_first
        last changed last
    limit
        how many at most
    cursor
        where the last page ended
    """
    with connected(places.api_url(common)) as client:
        page = Api(client).get(
            "/v1/pipelines",
            status=status,
            name=name,
            sort="updated_at" if oldest_first else None,
            limit=limit,
            cursor=cursor,
        )
    show_all(page.body["items"], PIPELINE, common.output)
    tell_more(page.body)


@app.command
def execute(
    pipeline_id: str,
    *,
    wait: float | None = None,
    input: str | None = None,
    execution_id: str | None = None,
    deadline: float | None = None,
    common: Common = COMMON,
    write: Write = WRITE,
) -> int:
    """Start a run of a pipeline; with --wait the exit code is 1 when it fails, 6 when it takes longer.

    Parameters
    ----------
    wait
        seconds to wait for the run's end
    input
        JSON, or @FILE that holds it
    execution_id
        the run's id (default: made from the command's id)
    deadline
        seconds after which the run fails where it has not ended
    """
    body: dict[str, Any] = {"input": read_input(input)}
    if execution_id is not None:
        body["execution_id"] = execution_id
    if deadline is not None:
        body["options"] = {"deadline_s": deadline}
    with connected(places.api_url(common)) as client:
        if write.dry_run:
            from gateway.cli import dry_run

            plan = dry_run.of_start(Api(client), pipeline_id, body, write)
            dry_run.tell_plan(plan, common.output)
            return 0
        path = f"{_path(pipeline_id)}/executions"
        started = Api(client).write("POST", path, body, write, wait_s=wait)
    show(started.body, EXECUTION, common.output)
    return 0 if wait is None else outcome_of(started.body, wait_s=wait)


def read_file(name: str) -> dict[str, Any]:
    """The pipeline in a file as the api takes it. Raises NotFound, Invalid with all lines."""
    from gateway.pipeline_file import CODE, plain_data
    from gateway.pipeline_problems import problems_of

    data = _bytes(name)
    if problems := problems_of(data):
        told = [f"{name}:{one.line}:{one.column}: {one.what}" for one in problems]
        raise Invalid(CODE, "; ".join(told), problems=told)
    found: dict[str, Any] = plain_data(data)
    return found


def read_input(text: str | None) -> Any:
    """What `--input` means. Raises NotFound, Invalid."""
    if text is None:
        return {}
    if text.startswith("@"):
        text = _bytes(text[1:]).decode("utf-8", "replace")
    try:
        return parse_json(text)
    except ValueError as error:
        raise Invalid(
            "execution.invalid_input",
            f"--input is no JSON that can be used ({error}); quote it for the shell",
        ) from error


def tell_more(page: dict[str, Any]) -> None:
    """Say how to get what did not fit on a page."""
    if page["next_cursor"] is not None:
        tell(f"there are more; the next page: --cursor {page['next_cursor']}")


def _bytes(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: OSError) -> FlexCoreError:
    family = NotFound if isinstance(error, FileNotFoundError) else Invalid
    code = "file.not_found" if family is NotFound else "file.invalid"
    return family(code, f"cannot read {name!r}; {error.strerror}; check the path")


def _path(pipeline_id: str) -> str:
    return f"/v1/pipelines/{quote(pipeline_id, safe='')}"
