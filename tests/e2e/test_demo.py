"""The product is started as a user does, and everything that happened is read back in every way."""

import json
import subprocess
import urllib.error
import urllib.request
from typing import Any

import psycopg
import pytest

from services.embedded.jars import ROOT
from tests.e2e.conftest import Demonstrated
from tests.e2e.product import Product

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

STEPS = [
    "daily",
    "hourly",
    "daily_month",
    "hourly_celsius",
    "daily_monthly",
    "hourly_monthly",
    "joined",
    "rounded",
    "stored",
]


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def demo_run(product: Product) -> str:
    """The id of the run that the demo has left."""
    found: str = product.json("execution", "list", "--pipeline", "seattle")[-1]["execution_id"]
    return found


def test_demo_shows_every_step_and_the_twelve_months(demonstrated: Demonstrated) -> None:
    lines = demonstrated.out.splitlines()

    done = {line.split()[0] for line in lines if " succeeded after " in line}
    assert done == set(STEPS)
    title = next(number for number, line in enumerate(lines) if line.startswith("MONTH"))
    months = [line.split() for line in lines[title + 1 :]]
    assert [month[0] for month in months] == [
        *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
        *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    ]
    # Checked against the two files with another tool: 124 days of January, 8.2 °C, 41.7 °F.
    assert months[0] == ["Jan", "124", "8.2", "2.7", "3.8", "5.4"]


def test_demo_says_what_to_try_next(demonstrated: Demonstrated) -> None:
    assert demonstrated.err.count("\n  ./flexcore ") == 3


def test_demo_leaves_nothing_in_the_clone() -> None:
    kept = ["git", "check-ignore", "--quiet", ".flexcore/endpoints.json"]
    assert subprocess.run(kept, cwd=ROOT, check=False).returncode == 0


def test_second_demo_in_a_running_stack_is_another_run_of_the_same_pipeline(
    demonstrated: Demonstrated,
) -> None:
    before = demonstrated.product.json("execution", "list", "--pipeline", "seattle")

    again = demonstrated.product.run("demo", "--exit")

    places = demonstrated.product.endpoints
    assert all(places[part] in again.stderr for part in ("api", "projector", "registry", "kafka"))
    after = demonstrated.product.json("execution", "list", "--pipeline", "seattle")
    assert len(after) == len(before) + 1
    assert {run["revision"] for run in after} == {1}


def test_one_run_reads_the_same_in_six_ways(demonstrated: Demonstrated) -> None:
    product = demonstrated.product
    places = product.endpoints
    run_id = demo_run(product)

    rest = get(f"{places['api']}/v1/executions/{run_id}")

    assert [step["step_id"] for step in rest["steps"]] == STEPS
    assert rest["status"] == "succeeded"
    assert product.json("execution", "get", run_id) == rest
    row = get(f"{places['projector']}/v1/tables/executions/{run_id}")
    assert row["value"] == rest
    assert get(f"{places['api']}/v1/tables/executions/{run_id}") == row
    with psycopg.connect(places["database"]) as connection:
        query = "SELECT body FROM flexcore.executions WHERE id = %s"
        assert connection.execute(query, [run_id]).fetchone() == (rest,)
    folded = product.example("fold_topics.py", places["kafka"], places["registry"], run_id)
    assert json.loads(folded) == rest


def test_the_tables_are_there_through_the_api(demonstrated: Demonstrated) -> None:
    api = demonstrated.product.endpoints["api"]

    assert {table["name"] for table in get(f"{api}/v1/tables")["tables"]} == {
        *("pipelines", "executions")
    }
    for path, code in (
        ("executions/none", "aggregate.not_found"),
        ("executions/acme~none", "aggregate.not_found"),
        ("nothing/none", "table.not_found"),
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(f"{api}/v1/tables/{path}")
        assert (caught.value.code, json.load(caught.value)["code"]) == (404, code)


def test_a_run_that_failed_is_folded_from_its_topic_as_well(
    demonstrated: Demonstrated, tmp_path_factory: pytest.TempPathFactory
) -> None:
    product = demonstrated.product
    file = tmp_path_factory.mktemp("pipelines") / "broken.yaml"
    read = {"id": "read", "uses": "flexcore.csv_read", "with": {"path": "examples/nowhere.csv"}}
    never = {"id": "never", "uses": "flexcore.echo", "needs": ["read"]}
    file.write_text(json.dumps({"pipeline_id": "broken", "name": "Broken", "steps": [read, never]}))
    product.run("pipeline", "create", "-f", str(file))
    product.run("pipeline", "activate", "broken")
    places = product.endpoints

    waited = product.shell("./flexcore pipeline execute broken --wait 60 -o name || [ $? = 1 ]")

    run_id = waited.stdout.strip()
    rest = get(f"{places['api']}/v1/executions/{run_id}")
    assert (rest["status"], rest["error"]["step_id"]) == ("failed", "read")
    assert [step["status"] for step in rest["steps"]] == ["failed", "cancelled"]
    folded = product.example("fold_topics.py", places["kafka"], places["registry"], run_id)
    assert json.loads(folded) == rest


def test_the_doctor_finds_a_stack_that_is_well_to_be_well(demonstrated: Demonstrated) -> None:
    findings = demonstrated.product.json("doctor")

    assert {one["check"] for one in findings} >= {
        *("kafka", "postgres", "worker", "projector", "api"),
        *("broker", "topics", "schemas", "database", "migrations", "clock"),
    }
    assert [one for one in findings if one["state"] == "failed"] == []


def test_the_events_of_a_run_are_read_among_all_and_as_a_stream(
    demonstrated: Demonstrated,
) -> None:
    product = demonstrated.product
    run_id, api = demo_run(product), product.endpoints["api"]
    of_run = get(f"{api}/v1/executions/{run_id}/events?limit=500")["items"]

    of_all = get(f"{api}/v1/events?limit=1000&context=execution")["items"]
    stream = urllib.request.Request(
        f"{api}/v1/executions/{run_id}/events", headers={"Accept": "text/event-stream"}
    )
    with urllib.request.urlopen(stream, timeout=30) as answer:
        sent = [line[6:] for line in answer.read().decode().splitlines() if line.startswith("data")]

    assert of_run[-1]["type"] == "ExecutionCompleted"
    assert [event for event in of_all if event["aggregate_id"] == run_id] == of_run
    assert list(map(json.loads, sent)) == of_run


def test_a_foreign_producer_needs_no_more_than_the_topics(demonstrated: Demonstrated) -> None:
    product = demonstrated.product
    places = product.endpoints

    printed = product.example(
        "produce_command.py", "--bootstrap", places["kafka"], "--registry", places["registry"]
    )

    assert printed.count("flexcore.outcomes accepted") == 3
    run_id = printed.split()[-1]
    ended = json.loads(product.run("execution", "watch", run_id, "-o", "json").stdout)
    kinds = {row["weather"]: row["count"] for row in ended["output"]["kinds"]["rows"]}
    assert kinds == {"drizzle": 54, "fog": 411, "rain": 259, "snow": 23, "sun": 714}


def test_events_can_be_followed_from_the_first_one(demonstrated: Demonstrated) -> None:
    tail = ["events", "tail", "--from-start", "--context", "pipeline", "--count", "1", "-o", "json"]

    first = json.loads(demonstrated.product.run(*tail).stdout)

    assert (first["type"], first["version"]) == ("PipelineCreated", 1)
    stream = f"pipeline/{first['aggregate_id']}"
    assert demonstrated.product.json("events", "read", stream)[0] == first


def test_topics_are_as_they_should_be(demonstrated: Demonstrated) -> None:
    product = demonstrated.product

    assert product.json("topics", "verify")["state"] == "ok"
    assert {row["state"] for row in product.json("topics", "list")} == {"ok"}
    assert product.json("topics", "apply", "--dry-run") == []


def test_status_shows_every_part_ready(demonstrated: Demonstrated) -> None:
    parts = demonstrated.product.json("status")

    assert {part["role"] for part in parts if part["ready"]} == {
        *("kafka", "postgres", "worker", "projector", "api")
    }


def test_example_code_stays_short() -> None:
    code = (ROOT / "examples" / "fold_topics.py").read_text().splitlines()

    # The docstring is the first line.
    assert sum(1 for line in code[1:] if line.strip()) <= 40
