"""Rows in PostgreSQL: typed by what they hold, replaced by the step that wrote them."""

from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from plugins.steps import StepFailed
from tests.plugins.running import Bench, with_database

pytestmark = pytest.mark.postgres


@pytest.fixture
def bench(tmp_path: Path, database: str) -> Bench:
    return Bench(tmp_path, with_database(tmp_path, database))


def rows_of(database: str, query: LiteralString) -> list[tuple[object, ...]]:
    with psycopg.connect(database) as connection:
        return connection.execute(query).fetchall()


def test_the_table_is_made_from_the_rows(bench: Bench, database: str) -> None:
    row = {"n": 1, "x": 1.5, "t": "ü\t\n", "b": True, "j": {"a": [1]}, "none": None, 'Odd "name': 2}
    output = bench.run(
        "postgres_write", table="made", rows=[row, {"n": None, "x": 2}], execution="r1"
    )
    assert output == {"table": "made", "count": 2}
    found = rows_of(
        database, 'SELECT n, x, t, b, j, "none", "Odd ""name", _run, _step FROM made ORDER BY n'
    )
    assert found == [
        (1, 1.5, "ü\t\n", True, {"a": [1]}, None, 2, "r1", "step"),
        (None, 2.0, None, None, None, None, None, "r1", "step"),
    ]


def test_a_repeated_step_replaces_its_rows_and_no_others(bench: Bench, database: str) -> None:
    bench.run("postgres_write", table="kept", rows=[{"n": 1}, {"n": 2}], execution="r1")
    bench.run("postgres_write", table="kept", rows=[{"n": 3}], execution="r2")
    bench.run("postgres_write", table="kept", rows=[{"n": 4}], execution="r1", step="other")
    bench.run("postgres_write", table="kept", rows=[{"n": 5}], execution="r1")
    assert rows_of(database, "SELECT n FROM kept ORDER BY n") == [(3,), (4,), (5,)]
    bench.run("postgres_write", table="kept", rows=[], execution="r1")
    assert rows_of(database, "SELECT n FROM kept ORDER BY n") == [(3,), (4,)]


def test_no_rows_make_no_table(bench: Bench, database: str) -> None:
    assert bench.run("postgres_write", table="nothing", rows=[])["count"] == 0
    assert rows_of(database, "SELECT to_regclass('nothing')") == [(None,)]


def test_a_column_that_the_table_lacks_is_named_and_nothing_changes(
    bench: Bench, database: str
) -> None:
    bench.run("postgres_write", table="narrow", rows=[{"n": 1}])
    failed = bench.refusal("postgres_write", table="narrow", rows=[{"n": 2, "extra": 3}])
    assert "table 'narrow' has no column extra" in failed.message
    assert rows_of(database, "SELECT n FROM narrow") == [(1,)]


def test_a_table_of_somebody_else_is_left_alone(bench: Bench, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE theirs (n int)")
    assert (
        "was not made by postgres_write"
        in bench.refusal("postgres_write", table="theirs", rows=[{"n": 1}]).message
    )


def test_what_the_server_refuses_is_told_in_its_words(bench: Bench, database: str) -> None:
    bench.run("postgres_write", table="typed", rows=[{"n": 1}])
    failed = bench.refusal("postgres_write", table="typed", rows=[{"n": "text"}])
    assert (failed.code, failed.retryable) == ("plugin.database_refused", False)
    assert "invalid input syntax for type bigint" in failed.message


def test_a_database_that_is_away_is_worth_another_try(tmp_path: Path) -> None:
    nowhere = "postgresql://nobody:secret@127.0.0.1:1/none"
    bench = Bench(tmp_path, with_database(tmp_path, nowhere))
    with pytest.raises(StepFailed, match="connect") as caught:
        bench.run("postgres_write", table="t", rows=[{"n": 1}])
    assert (caught.value.code, caught.value.retryable) == ("plugin.database_unavailable", True)
    assert "secret" not in caught.value.message
