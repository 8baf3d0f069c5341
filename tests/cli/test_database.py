"""`flexcore database migrate` makes the tables, once, and says what it did."""

import json
from typing import Any

import psycopg
import pytest

from domain.errors import Unavailable
from projections import migrate
from services import cli

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def configured(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line finds the test's database as production's is found."""
    monkeypatch.setenv("FLEXCORE__DATABASE__URL", database)


def migrated(capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    assert cli.run(["database", "migrate", *more, "-o", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_an_empty_database_gets_the_tables_and_then_keeps_them(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = migrate.NEWEST

    assert migrated(capsys, "--dry-run") == {"before": None, "after": newest}
    assert migrate.current(database) is None
    assert migrated(capsys) == {"before": None, "after": newest}
    assert migrated(capsys) == {"before": newest, "after": newest}
    migrate.check(database)


def test_a_database_without_the_tables_is_refused_with_the_command_that_makes_them(
    database: str,
) -> None:
    with pytest.raises(Unavailable, match="run `flexcore database migrate`") as refused:
        migrate.check(database)

    assert refused.value.code == "database.not_migrated"


def test_a_database_of_a_later_release_is_left_alone(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    migrated(capsys)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE flexcore.alembic_version SET version_num = '9999'")

    assert migrated(capsys) == {"before": "9999", "after": "9999"}
    migrate.check(database)


def test_a_database_that_is_away_is_6_and_no_password_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEXCORE__DATABASE__URL", "postgresql://u:hidden@127.0.0.1:1/x")

    assert cli.run(["database", "migrate"]) == 6
    said = capsys.readouterr().err
    assert "fix:   check that the database of FLEXCORE__DATABASE__URL runs" in said
    assert "hidden" not in said
