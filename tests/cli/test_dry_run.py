"""`--dry-run`: says what would happen, ends as the command would end, and sends nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from gateway.cli.client import Api, connected
from gateway.cli.options import Write
from services import cli
from tests.cli.served import Served
from tests.gateway.memory_stack import PIPELINE, STEP, activate, create

RUN = "0b0c7a4e-9d43-4f2a-8d8e-0f5d3a1c6b77"
LOST = "0b0c7a4e-9d43-4f2a-8d8e-0f5d3a1c6b78"

CHANGE = {
    *("pipeline create", "pipeline revise", "pipeline activate", "pipeline pause"),
    *("pipeline archive", "pipeline execute", "execution cancel"),
    *("topics apply", "database migrate", "schema release"),
}
READ = {
    *("pipeline validate", "pipeline schema", "pipeline get", "pipeline list"),
    *("execution get", "execution list", "execution watch", "events read", "events all"),
    *("events tail", "table list", "table get", "topics verify", "topics list", "status"),
    *("doctor", "config list", "config explain", "schema list", "schema show", "schema check"),
    "completion",
}
WITHOUT = {
    "demo": "shows what happens by letting it happen",
    **dict.fromkeys(("dev", "stop"), "start and stop processes, of which `status` tells"),
    **dict.fromkeys(("api", "worker", "projector"), "is a service"),
    **dict.fromkeys(("bench commands", "bench peers", "faults"), "measure and break on purpose"),
    "schema write": "writes files of the clone, where git shows what changed",
}


def commands(app: App, name: str) -> Iterator[tuple[str, bool]]:
    """(command, whether it takes --dry-run) of a word of the command line."""
    verbs = [verb for verb in app if not verb.startswith("-")]
    if not verbs:
        yield (
            name,
            "--dry-run" in {n for one in app.assemble_argument_collection() for n in one.names},
        )
    for verb in verbs:
        yield from commands(app[verb], f"{name} {verb}")


def test_every_command_that_changes_something_can_be_tried() -> None:
    known = cli.parser()
    found = dict(one for word in cli.COMMANDS for one in commands(known[word.name], word.name))

    assert {name for name, takes in found.items() if takes} == CHANGE
    assert found.keys() == CHANGE | READ | WITHOUT.keys()


def test_a_dry_run_cannot_be_sent() -> None:
    with connected("http://127.0.0.1:1") as client, pytest.raises(AssertionError):
        Api(client).write("POST", "/v1/pipelines", {}, Write(dry_run=True))


def test_each_command_ends_as_its_dry_run_said_which_sent_nothing(
    flexcore: Served, tmp_path: Path
) -> None:
    file, other = tmp_path / "weather.json", tmp_path / "other.json"
    file.write_text(json.dumps(PIPELINE))
    other.write_text(json.dumps({**PIPELINE, "name": "Other"}))
    said: list[tuple[str, int]] = []
    for command in (
        "pipeline revise -f FILE",
        "pipeline activate weather",
        "pipeline execute weather",
        "pipeline create -f FILE --expected-version exists",
        "pipeline create -f FILE",
        "pipeline create -f FILE",
        "pipeline pause weather",
        "pipeline execute weather",
        "pipeline revise -f OTHER --expected-version 7",
        "pipeline revise -f OTHER --expected-version 1",
        "pipeline revise -f OTHER",
        "pipeline activate weather",
        "pipeline activate weather",
        f"pipeline execute weather --execution-id {RUN} --deadline 0",
        f"pipeline execute weather --execution-id {RUN}",
        f"pipeline execute weather --execution-id {RUN}",
        "pipeline execute weather --execution-id one",
        f"execution cancel {LOST}",
        f"execution cancel {RUN}",
        f"execution cancel {RUN}",
        "pipeline pause weather",
        "pipeline archive weather",
        "pipeline archive weather",
        "pipeline activate weather",
    ):
        line = command.replace("FILE", str(file)).replace("OTHER", str(other)).split()
        before = events_of(flexcore)

        tried = flexcore.run(*line, "--dry-run", "-o", "json")

        assert events_of(flexcore) == before, command
        done = flexcore.run(*line, "-o", "json")
        came = events_of(flexcore)[len(before) :]
        assert (tried.code, told(tried.err)) == (done.code, told(done.err)), command
        if tried.code == 0:
            assert sorted(tried.json["events"]) == sorted(came), command
            assert tried.err == "a dry run: nothing was sent\n"
        said.append((command, tried.code))
    assert [code for _, code in said].count(0) == 11
    assert {code for _, code in said} == {0, 3, 4, 7}


def events_of(flexcore: Served) -> list[str]:
    """Names of all events there are, oldest first."""
    everything = flexcore.stack.store.everything().values()
    found = sorted((event.offset, event.type) for events in everything for event in events)
    return [name.rpartition(".")[2] for _, name in found]


def told(error: str) -> str:
    """The code of a refusal."""
    return error.partition("]")[0].partition("[")[2]


def test_a_revision_is_shown_place_by_place(flexcore: Served, tmp_path: Path) -> None:
    create(flexcore.stack)
    steps: list[dict[str, Any]] = [
        {**STEP, "with": {"path": "b.csv"}, "timeout_s": 5},
        {"id": "keep", "uses": "flexcore.ndjson_write", "needs": ["read"]},
    ]
    file = tmp_path / "weather.json"
    file.write_text(json.dumps({**PIPELINE, "name": "New", "steps": steps}))

    tried = flexcore.run("pipeline", "revise", "-f", str(file), "--dry-run", "-o", "json").json
    shown = flexcore.run("pipeline", "revise", "-f", str(file), "--dry-run")

    assert (tried["status"], tried["revision"]) == ("draft", 2)
    assert tried["changes"] == [
        {"place": "name", "before": "Weather", "after": "New"},
        {"place": "steps.read.with.path", "before": "a.csv", "after": "b.csv"},
        {"place": "steps.read.timeout_s", "before": None, "after": 5.0},
        {"place": "steps.keep.id", "before": None, "after": "keep"},
        {"place": "steps.keep.uses", "before": None, "after": "flexcore.ndjson_write"},
        {"place": "steps.keep.needs", "before": None, "after": ["read"]},
    ]
    assert "steps.read.with.path" in shown.out


def test_a_revision_that_changes_nothing_says_so(flexcore: Served, tmp_path: Path) -> None:
    activate(flexcore.stack)
    file = tmp_path / "weather.json"
    file.write_text(json.dumps(PIPELINE))

    tried = flexcore.run("pipeline", "revise", "-f", str(file), "--dry-run", "-o", "json").json

    assert tried == {
        "id": "weather",
        "events": [],
        "status": "active",
        "revision": 1,
        "changes": [],
    }


def test_a_start_names_the_steps_that_it_would_begin_with(flexcore: Served) -> None:
    activate(flexcore.stack)

    ran = flexcore.run("pipeline", "execute", "weather", "--dry-run", "-o", "json")
    assert ran.code == 0, ran.err
    tried = ran.json

    assert tried["first_steps"] == ["read"]
    assert tried["events"] == ["ExecutionStarted", "PipelineStepScheduled"]
