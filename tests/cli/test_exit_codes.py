"""How a command ends tells a script what happened, and tells people what to do."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from domain.errors import FlexCoreError, Unavailable
from gateway.cli.client import Api
from services import cli
from services.embedded.jars import ROOT
from tests.cli.served import Served
from tests.gateway.memory_stack import PIPELINE, activate, create

HEAVY = ("cyclopts", "rich", "pydantic", "faust", "confluent_kafka", "fastapi", "psycopg", "httpx2")


def test_success_is_0(flexcore: Served) -> None:
    create(flexcore.stack)

    assert flexcore.run("pipeline", "get", "weather").code == 0


@pytest.mark.parametrize(
    "words", ["nonsense", "pipeline nonsense", "pipeline get", "pipeline get a --b"]
)
def test_a_command_line_that_makes_no_sense_is_2(flexcore: Served, words: str) -> None:
    ran = flexcore.run_bare(*words.split())

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error[usage]: ")
    assert "fix:" in ran.err


def test_what_is_not_there_is_3(flexcore: Served) -> None:
    ran = flexcore.run("pipeline", "get", "nope")

    assert (ran.code, ran.out) == (3, "")
    assert ".not_found]: there is no pipeline 'nope'" in ran.err


def test_a_file_that_is_not_there_is_3(flexcore: Served, tmp_path: Path) -> None:
    ran = flexcore.run("pipeline", "create", "-f", str(tmp_path / "nope.yaml"))

    assert ran.code == 3
    assert ran.err.startswith("error[file.not_found]: ")


def test_a_pipeline_is_paused_and_archived_and_what_that_rules_out_is_7(flexcore: Served) -> None:
    activate(flexcore.stack)

    paused = flexcore.run("pipeline", "pause", "weather", "--reason", "source down", "-o", "json")
    executed = flexcore.run("pipeline", "execute", "weather")
    archived = flexcore.run("pipeline", "archive", "weather", "-o", "json")
    activated = flexcore.run("pipeline", "activate", "weather")

    assert json.loads(paused.out)["status"] == "paused"
    assert (executed.code, archived.code) == (7, 0)
    assert json.loads(archived.out)["status"] == "archived"
    assert (activated.code, activated.err.splitlines()[0]) == (
        7,
        "error[pipeline.archived]: pipeline 'weather' is archived and cannot be activated",
    )


def test_a_file_that_is_wrong_is_7_and_every_line_of_it_is_named(
    flexcore: Served, tmp_path: Path
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("pipeline_id: p\nname: P\nsteps:\n- id: A\n  uses: x.y\n  needs: [b]\n")

    validated = flexcore.run_bare("pipeline", "validate", str(path))
    created = flexcore.run("pipeline", "create", "-f", str(path))

    assert (validated.code, created.code) == (7, 7)
    assert [line.split()[:2] for line in validated.out.splitlines()[1:]] == [
        ["4", "3"],
        ["5", "3"],
        ["6", "3"],
    ]
    assert f"cause: {path}:6:3: step 'A': needs 'b', which is no step" in created.err


def test_a_file_is_named_with_f_or_without(flexcore: Served) -> None:
    file = str(ROOT / "examples" / "seattle.yaml")
    created = flexcore.run("pipeline", "create", file, "-o", "name")
    revised = flexcore.run("pipeline", "revise", "-f", file, "-o", "name")
    looked_at = flexcore.run_bare("pipeline", "validate", "-f", file)

    assert (created.out, revised.out) == ("seattle\n", "seattle\n")
    assert (looked_at.code, looked_at.out) == (0, "")


def test_a_file_that_is_sound_is_0_without_a_stack(flexcore: Served) -> None:
    ran = flexcore.run_bare("pipeline", "validate", str(ROOT / "examples" / "seattle.yaml"))

    assert (ran.code, ran.out) == (0, "")
    assert ran.err.endswith(": 0 problems\n")


def test_a_version_conflict_is_4(flexcore: Served) -> None:
    create(flexcore.stack)

    ran = flexcore.run("pipeline", "activate", "weather", "--expected-version", "7")

    assert ran.code == 4
    assert ran.err.startswith("error[aggregate.version_conflict]: ")


def test_no_stack_is_6_and_says_how_to_start_one(flexcore: Served, tmp_path: Path) -> None:
    ran = flexcore.run_bare("pipeline", "list", "--data-dir", str(tmp_path / "empty"))

    assert ran.code == 6
    assert ran.err.startswith("error[stack.not_running]: FlexCore is not running")
    assert "fix:   start one with `flexcore dev`" in ran.err


def test_a_stack_that_has_died_is_6(flexcore: Served) -> None:
    ran = flexcore.run_bare("pipeline", "list", "--api-url", "http://127.0.0.1:1")

    assert ran.code == 6
    assert ran.err.startswith("error[stack.not_running]: nothing answers at http://127.0.0.1:1")


def test_what_the_state_does_not_allow_is_7(flexcore: Served) -> None:
    create(flexcore.stack)

    ran = flexcore.run("pipeline", "execute", "weather")

    assert ran.code == 7
    assert ran.err.splitlines() == [
        "error[pipeline.not_active]: pipeline 'weather' is not active",
        "cause: only an active pipeline can be executed",
        "fix:   activate it first",
    ]


def test_a_wrong_file_is_7_and_names_each_place(flexcore: Served, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(json.dumps({**PIPELINE, "steps": [{"id": 1, "use": "x.y"}]}))

    ran = flexcore.run("pipeline", "create", "-f", str(file))

    assert ran.code == 7
    assert ran.err.startswith("error[pipeline.invalid_definition]: ")
    assert "steps[0].id" in ran.err


def test_a_run_that_failed_is_1(flexcore: Served) -> None:
    activate(flexcore.stack)
    started = flexcore.run("pipeline", "execute", "weather", "-o", "json").json["execution_id"]
    flexcore.end_run(started, failed=True)

    ran = flexcore.run("execution", "watch", started)

    assert ran.code == 1
    assert "read" in ran.out
    assert "there is no file 'a.csv'" in ran.err


def test_a_run_that_takes_longer_than_the_wait_is_6(flexcore: Served) -> None:
    activate(flexcore.stack)

    ran = flexcore.run("pipeline", "execute", "weather", "--wait", "0")

    assert ran.code == 6
    assert "has not ended within 0 s" in ran.err


def test_an_interrupted_command_is_130_without_a_traceback(flexcore: Served) -> None:
    activate(flexcore.stack)
    started = flexcore.run("pipeline", "execute", "weather", "-o", "json").json["execution_id"]
    command = [sys.executable, "-m", "services.cli", "execution", "watch", started]
    watching = subprocess.Popen(
        [*command, "--api-url", flexcore.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert watching.stdout is not None
    # Its first line shows that it is in the middle of its work.
    assert "read" in watching.stdout.readline()
    watching.send_signal(signal.SIGINT)

    assert watching.wait(30) == 130
    assert watching.stderr is not None
    assert watching.stderr.read() == ""


def test_help_loads_nothing_but_the_table_of_commands() -> None:
    program = (
        "import sys; from services import cli; cli.run(['--help']); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stderr.strip() == "[]"
    assert all(command.name in ran.stdout for command in cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help(command: cli.Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([command.name, "--help"]) == 0
    assert "Usage: flexcore" in capsys.readouterr().out


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (404, "request.no_such_path", 3),
        (403, "newer.denied", 5),
        (409, "newer.refused", 7),
        (429, "newer.limited", 6),
        (500, "internal.error", 1),
    ],
)
def test_codes_of_a_newer_release_end_as_their_status_says(
    status: int, code: str, exit_code: int
) -> None:
    with pytest.raises(FlexCoreError) as raised:
        api_that_answers(httpx2.Response(status, json={"code": code, "detail": "so"})).get("/")

    assert (raised.value.code, raised.value.exit_code) == (code, exit_code)


def test_an_answer_that_is_no_problem_is_named_by_its_status() -> None:
    with pytest.raises(FlexCoreError) as raised:
        api_that_answers(httpx2.Response(502, text="<html>")).get("/")

    assert "502" in raised.value.message


def test_an_owner_that_is_away_is_asked_again_with_the_same_command_id() -> None:
    ids = []
    away = {"code": "owner.unavailable", "detail": "away"}
    answers = iter(
        [
            httpx2.Response(503, json=away, headers={"Retry-After": "0"}),
            httpx2.Response(
                200, json={"version": 1}, headers={"FlexCore-Position": "pipeline/0@1"}
            ),
        ]
    )

    def answer(request: httpx2.Request) -> httpx2.Response:
        ids.append(request.headers["Idempotency-Key"])
        return next(answers)

    from gateway.cli.options import WRITE

    client = httpx2.Client(base_url="http://api", transport=httpx2.MockTransport(answer))
    reply = Api(client).write("POST", "/v1/pipelines", {}, WRITE)

    assert (reply.body, reply.position) == ({"version": 1}, "pipeline/0@1")
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_an_owner_that_stays_away_is_unavailable_in_the_end() -> None:
    began = time.monotonic()
    away = httpx2.Response(503, json={"code": "owner.unavailable", "detail": "away"})

    with pytest.raises(Unavailable):
        api_that_answers(away, patience_s=0).get("/")

    assert time.monotonic() - began < 1


def api_that_answers(response: httpx2.Response, patience_s: float = 10) -> Api:
    transport = httpx2.MockTransport(lambda _: response)
    client = httpx2.Client(base_url="http://api", transport=transport)
    return Api(client, patience_s=patience_s)
