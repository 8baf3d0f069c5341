"""Two real sets that differ in unit and in how they write a time meet in one table, by the host."""

from pathlib import Path

import psycopg
import pytest

from plugins.outside import Outside
from plugins.templates import render
from tests.plugins.conftest import StartHost
from tests.plugins.hosting import Hosted

DAILY = """\
date,precipitation,temp_max,temp_min,wind,weather
2012/01/01,0.0,12.8,5.0,4.7,drizzle
2012/01/02,10.9,10.6,2.8,4.5,rain
2013/02/01,0.8,11.7,7.2,2.3,rain
"""
HOURLY = """\
date,temp
2010/01/01 00:00,39.2
2010/01/01 01:00,41.0
2010/02/01 00:00,50.0
"""
STEPS: list[tuple[str, str, dict[str, object]]] = [
    ("daily", "csv_read", {"path": "daily.csv"}),
    ("hourly", "csv_read", {"path": "hourly.csv"}),
    (
        "daily_dated",
        "derive",
        {"rows": "${{ steps.daily.output.rows }}", "set": {"month": "month(row.date)"}},
    ),
    (
        "hourly_dated",
        "derive",
        {
            "rows": "${{ steps.hourly.output.rows }}",
            "set": {
                "month": "int(substring(row.date, 5, 7))",
                "normal": "round((row.temp - 32.0) * 5.0 / 9.0, 2)",
            },
        },
    ),
    (
        "daily_monthly",
        "aggregate",
        {
            "rows": "${{ steps.daily_dated.output.rows }}",
            "by": ["month"],
            "mean": ["temp_max"],
            "sum": ["precipitation"],
            "count": True,
        },
    ),
    (
        "hourly_monthly",
        "aggregate",
        {"rows": "${{ steps.hourly_dated.output.rows }}", "by": ["month"], "mean": ["normal"]},
    ),
    (
        "joined",
        "join",
        {
            "left": "${{ steps.daily_monthly.output.rows }}",
            "right": "${{ steps.hourly_monthly.output.rows }}",
            "on": ["month"],
        },
    ),
    ("store", "postgres_write", {"table": "weather", "rows": "${{ steps.joined.output.rows }}"}),
]


def run_all(host: Hosted) -> dict[str, dict[str, object]]:
    done: dict[str, dict[str, object]] = {}
    for id, uses, with_ in STEPS:
        config = render(
            with_, {"steps": {step: {"output": output} for step, output in done.items()}}
        )
        assert isinstance(config, dict)
        done[id] = host.output(f"flexcore.{uses}", **config)
    return done


@pytest.mark.postgres
def test_two_weather_sets_meet_by_month(
    start_host: StartHost, tmp_path: Path, database: str
) -> None:
    secret = tmp_path / "data-url"
    secret.write_text(f"{database}\n")
    host = start_host(outside=Outside(data_url_file=secret))
    (host.files / "daily.csv").write_text(DAILY)
    (host.files / "hourly.csv").write_text(HOURLY)
    output = run_all(host)
    assert output["store"] == {"table": "weather", "count": 2}
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT month, mean_temp_max, sum_precipitation, count, mean_normal FROM weather ORDER BY month"
        ).fetchall()
    assert found == [
        (1, pytest.approx(11.7), 10.9, 2, 4.5),
        (2, pytest.approx(11.7), 0.8, 1, 10.0),
    ]


def test_a_host_without_database_says_so(start_host: StartHost) -> None:
    failed = start_host().failure("flexcore.postgres_write", table="t", rows=[{"n": 1}])
    assert failed.code == "plugin.no_database"
