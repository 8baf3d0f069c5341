"""`flexcore schema check` and `release` without a running stack."""

from pathlib import Path

from schemas import catalogue
from tests.cli.served import Served


def test_the_check_passes_on_what_is_committed(flexcore: Served) -> None:
    ran = flexcore.run_bare("schema", "check")
    listed = flexcore.run_bare("schema", "check", "-o", "json")

    assert (ran.code, ran.out) == (0, "")
    assert ran.err.strip().endswith("0 problems")
    assert (listed.code, listed.json) == (0, [])


def test_the_check_names_what_is_wrong_and_ends_with_7(flexcore: Served, tmp_path: Path) -> None:
    catalogue.write(tmp_path)
    (tmp_path / "outcome/Outcome.avsc").unlink()

    listed = flexcore.run_bare("schema", "check", "--folder", str(tmp_path), "-o", "json")
    shown = flexcore.run_bare("schema", "check", "--folder", str(tmp_path))
    named = flexcore.run_bare("schema", "check", "--folder", str(tmp_path), "-o", "name")

    assert (listed.code, shown.code, named.code) == (7, 7, 7)
    assert listed.json == [
        {
            "record": "flexcore.outcome.Outcome",
            "field": "",
            "level": "FULL_TRANSITIVE",
            "version": 0,
            "what": "the class is not as its schema is written",
            "fix": "run `flexcore schema write`",
        }
    ]
    assert "flexcore schema write" in shown.out
    assert named.out.split() == ["flexcore.outcome.Outcome"]
    assert listed.err.strip().endswith("1 problem")


def test_a_dry_run_of_a_release_lists_what_it_would_add(flexcore: Served) -> None:
    ran = flexcore.run_bare("schema", "release", "99.0.0", "--dry-run", "-o", "json")

    assert ran.code == 0
    assert all(row["release"] == "99.0.0" for row in ran.json)
