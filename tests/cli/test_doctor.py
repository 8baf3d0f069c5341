"""The doctor names what is ill, and what mends it; a stack that is well is looked at in tests/e2e."""

import json
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from services import cli

NOBODY = {
    "FLEXCORE__KAFKA__BOOTSTRAP": "127.0.0.1:1",
    "FLEXCORE__DATABASE__URL": "postgresql://ann:hush@127.0.0.1:1/x",
}


def examined(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> tuple[int, dict[str, dict[str, str]]]:
    code = cli.run(["doctor", "--data-dir", str(folder), "-o", "json"])
    found = json.loads(capsys.readouterr().out)
    return code, {one["check"]: one for one in found}


def test_without_a_stack_it_says_what_starts_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, found = examined(capsys, tmp_path)

    assert code == 0
    assert (found["broker"]["state"], found["broker"]["fix"]) == ("warning", "flexcore dev")


def test_a_broker_and_a_database_that_are_away_are_told_without_the_password(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in NOBODY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("services.doctor.WITHIN_S", 0.2)

    code, found = examined(capsys, tmp_path)

    assert code == 1
    assert (found["broker"]["state"], found["database"]["state"]) == ("failed", "failed")
    assert "FLEXCORE__KAFKA__BOOTSTRAP" in found["broker"]["fix"]
    assert "hush" not in json.dumps(found)


def test_a_setting_that_is_none_is_told_and_ends_the_examination(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEXCORE__API__PROT", "1")
    # The command line reads the settings itself where any is set, to find the data folder.
    from services.doctor import examined as findings

    *_, last = findings(tmp_path)

    assert (last.check, last.state, last.fix) == ("settings", "failed", "flexcore config list")
    assert "FLEXCORE__API__PORT" in last.found


def test_a_disk_that_is_full_and_a_port_that_is_taken_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("FLEXCORE__API__PORT", str(port))
        code, found = examined(capsys, tmp_path)

    assert (code, found["disk"]["state"]) == (1, "failed")
    assert found["ports"]["state"] == "warning"
    assert f"taken: api {port}" in found["ports"]["found"]
