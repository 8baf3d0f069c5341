"""What is configured, and where that comes from."""

import json
from pathlib import Path

import pytest

from tests.cli.served import Served


def test_every_setting_is_listed_with_what_it_means(flexcore: Served) -> None:
    listed = json.loads(flexcore.run_bare("config", "list", "-o", "json").out)

    assert "FLEXCORE__KAFKA__BOOTSTRAP" in {one["setting"] for one in listed}
    assert [one["setting"] for one in listed if not one["about"]] == []


def test_a_setting_is_explained_under_either_name(
    flexcore: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEXCORE__WORKER__STANDBY", "2")

    for name in ("FLEXCORE__WORKER__STANDBY", "worker.standby"):
        told = json.loads(flexcore.run_bare("config", "explain", name, "-o", "json").out)
        assert (told["value"], told["source"], told["default"]) == (2, "environment", "all")


def test_it_says_which_file_a_value_comes_from(
    flexcore: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile, secret = tmp_path / "p.yaml", tmp_path / "password"
    profile.write_text("kafka: {sasl_username: ann}\n")
    secret.write_text("hush\n")
    monkeypatch.setenv("FLEXCORE__PROFILE", str(profile))
    monkeypatch.setenv("FLEXCORE__KAFKA__SASL_PASSWORD_FILE", str(secret))

    listed = json.loads(flexcore.run_bare("config", "list", "-o", "json").out)
    by_name = {one["setting"]: one for one in listed}

    username = by_name["FLEXCORE__KAFKA__SASL_USERNAME"]
    password = by_name["FLEXCORE__KAFKA__SASL_PASSWORD"]
    assert (username["value"], username["source"]) == ("ann", str(profile))
    assert (password["source"], "hush" in password["value"]) == (str(secret), False)


def test_an_unknown_setting_is_3_and_the_nearest_is_named(flexcore: Served) -> None:
    ran = flexcore.run_bare("config", "explain", "worker.standbi")

    assert ran.code == 3
    assert "the nearest is FLEXCORE__WORKER__STANDBY" in ran.err
