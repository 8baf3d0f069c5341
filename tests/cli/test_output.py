"""Every command prints its data in every form: for people, for programs, or the ids alone."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from cyclopts import App

from gateway.cli.options import Format
from gateway.cli.output import View, line_of, show_all
from services import cli
from services.embedded.jars import ROOT
from tests.cli.served import Served
from tests.gateway.memory_stack import PIPELINE, activate

RUN = "0b0c7a4e-9d43-4f2a-8d8e-0f5d3a1c6b77"
COMMANDS: Sequence[tuple[str, str]] = [
    ("pipeline create --file FILE", "weather"),
    ("pipeline revise --file FILE", "weather"),
    ("pipeline activate weather", "weather"),
    ("pipeline get weather", "weather"),
    ("pipeline list", "weather"),
    (f"pipeline execute weather --execution-id {RUN}", RUN),
    (f"execution get {RUN}", RUN),
    ("execution list", RUN),
    (f"execution watch {RUN}", RUN),
    (f"events read execution/{RUN}", ""),
    ("table list", "executions"),
    ("table get executions e1", "e1"),
]
"""Command and the id that `-o name` prints; each stands on the ones before."""


WITHOUT_DATA = {
    "demo": "tells a story",
    "stop": "has nothing to tell",
    "faults": "shows progress; its results are a file of JSON lines",
    "completion": "prints a script",
    "pipeline schema": "prints JSON Schema, which is JSON",
    **dict.fromkeys(("api", "worker", "projector"), "is a service with a log"),
}


def commands(app: App, name: str) -> Iterator[tuple[str, bool]]:
    """(command, whether it takes -o) of a word of the command line."""
    verbs = [verb for verb in app if not verb.startswith("-")]
    if not verbs:
        options = {name for one in app.assemble_argument_collection() for name in one.names}
        yield name, {"--output", "-o"} <= options
    for verb in verbs:
        yield from commands(app[verb], f"{name} {verb}")


def test_every_command_that_has_data_takes_the_form_of_it() -> None:
    known = cli.parser()
    found = dict(one for word in cli.COMMANDS for one in commands(known[word.name], word.name))
    assert {name for name, takes in found.items() if not takes} == WITHOUT_DATA.keys()


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "yaml", "name"])
def test_every_command_prints_in_every_form(flexcore: Served, tmp_path: Path, form: Format) -> None:
    file = tmp_path / "weather.json"
    file.write_text(json.dumps(PIPELINE))
    for command, name in COMMANDS:
        if command.startswith("execution"):
            flexcore.end_run(RUN)

        ran = flexcore.run(*command.replace("FILE", str(file)).split(), "-o", form)

        assert (ran.code, ran.err) == (0, ""), command
        assert_is(form, ran.out, name)


def assert_is(form: Format, out: str, name: str) -> None:
    """Check that `out` is data in this form, and that of `name` where it holds ids alone."""
    match form:
        case "json":
            assert json.loads(out)
        case "jsonl":
            assert all(json.loads(line) for line in out.splitlines())
        case "yaml":
            assert yaml.safe_load(out)
        case "name":
            assert not name or out.split() == [name]
        case "table":
            assert out.strip()
            assert "{'" not in out


def test_schemas_are_listed_without_a_running_stack(flexcore: Served) -> None:
    listed = flexcore.run_bare("schema", "list", "-o", "name")
    shown = flexcore.run_bare("schema", "show", "ExecutionStarted")

    assert "flexcore.execution.ExecutionStarted" in listed.out.split()
    assert shown.json["name"] == "ExecutionStarted"


def test_committed_schemas_are_those_of_the_domain(flexcore: Served) -> None:
    ran = flexcore.run_bare("schema", "write")

    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("0 of ")


def test_a_name_cannot_send_commands_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    view = View(name="name", columns={"NAME": "name"})
    hostile = {"name": "a\x1b]0;owned\x07\x9b2J"}

    show_all([hostile], view, "table")
    show_all([hostile], view, "name")

    assert not set(capsys.readouterr().out) & {"\x1b", "\x07", "\x9b"}
    assert "\x1b" not in line_of(hostile, view, "table")


def test_a_terminal_shows_the_steps_as_a_table_that_changes(flexcore: Served) -> None:
    activate(flexcore.stack)
    flexcore.run("pipeline", "execute", "weather", "--execution-id", RUN)
    flexcore.end_run(RUN)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "services.cli", "execution", "watch", RUN]
    where = ["--api-url", flexcore.url]

    ran = subprocess.run(
        [*command, *where],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "NO_COLOR": "1"},
        check=True,
    )

    shown = os.read(ours, 65536).decode()
    os.close(theirs)
    os.close(ours)
    assert ran.stderr == b""
    assert "STEP" in shown
    assert "read" in shown
    assert "succeeded" in shown
    # Colours are off, moving the cursor is not.
    assert "\x1b[32m" not in shown


def test_nothing_is_cut_where_output_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_all([{"name": "x" * 500}], View(name="name", columns={"NAME": "name"}), "table")

    assert "x" * 500 in capsys.readouterr().out
