"""Ten pipelines as ten different people write them, run on a stack of their own; files in users/.

Names, files and habits are theirs: what Excel saves, a million lines, other scripts than Latin, nothing
at all, YAML with all that it can do, and every mistake one after the other.
"""

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.e2e.product import Product

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

USERS = Path(__file__).parent / "users"
MILLION = 1_000_000
ENDS_WITHIN_S = 900
"""A million rows through four steps take a minute; several on a machine that does other things."""


@dataclass(frozen=True)
class Office:
    """A stack, the folder that its pipelines read and write, and the web that they may reach."""

    product: Product
    files: Path
    web: str

    def write(self, name: str, data: bytes | str) -> None:
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())

    def read(self, name: str) -> bytes:
        return (self.files / name).read_bytes()

    def start(self, file: str) -> str:
        """Create and activate the pipeline of a user's file; its id."""
        path = str(USERS / file)
        created = self.product.json("pipeline", "create", "-f", path)
        pipeline_id: str = created["pipeline_id"]
        self.product.run("pipeline", "activate", pipeline_id)
        return pipeline_id

    def run(self, pipeline_id: str, input: object = None) -> dict[str, Any]:
        """A run that has ended, whatever became of it."""
        given = [] if input is None else ["--input", json.dumps(input)]
        started = self.product.json("pipeline", "execute", pipeline_id, *given)
        return self.ended(started["execution_id"])

    def ended(self, execution_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + ENDS_WITHIN_S
        while time.monotonic() < deadline:
            run: dict[str, Any] = self.product.json("execution", "get", execution_id)
            if run["status"] != "running":
                return run
        raise AssertionError(f"{execution_id} has not ended within {ENDS_WITHIN_S} s")

    def rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.product.endpoints["data_database"]) as database:
            return database.execute(query).fetchall()


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    # Not pytest's folder, which PostgreSQL's account cannot reach.
    folder = Path(tempfile.mkdtemp(prefix="flexcore-users-"))
    folder.chmod(0o755)
    (folder / "files").mkdir()
    (folder / "web").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder / "web"))
    web = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{web.server_port}"
    settings = {
        "FLEXCORE__FILES__ROOT": str(folder / "files"),
        "FLEXCORE__STEPS__HTTP_HOSTS": address,
    }
    product = Product(folder / ".flexcore", settings)
    try:
        product.run("dev", "--detach")
        yield Office(product, folder / "files", f"http://{address}")
    finally:
        product.run("stop")
        web.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def steps_of(run: dict[str, Any]) -> dict[str, str]:
    return {step["step_id"]: step["status"] for step in run["steps"]}


def output_of(run: dict[str, Any], step_id: str) -> Any:
    (found,) = (step["output"] for step in run["steps"] if step["step_id"] == step_id)
    return found


def test_an_analyst_has_a_table_from_excel(office: Office) -> None:
    lines = [
        "sep=;",
        "Datum;Filiale;PLZ;Umsatz (€);Menge;Bemerkung",
        "01.09.2026;Köln;50667;1.234,56;1.200;",
        '02.09.2026;Köln;50667;27,90;3;"sagte: ""gut"""',
        '02.09.2026;Dresden;01067;18,00;12;"zwei\nZeilen"',
        "03.09.2026;Dresden;01067;-2,50;#NV;Storno",
        ";;;;;",
    ]
    office.write("Umsätze Q3 (final) neu.csv", "\r\n".join(lines).encode("cp1252"))

    run = office.run(office.start("analyst.yaml"))

    assert run["status"] == "succeeded", run["error"]
    assert office.read("Ergebnis für Excel.csv").decode("utf-8-sig").splitlines() == [
        "Filiale;PLZ;sum_Umsatz (€);sum_Menge",
        "Köln;50667;1262,46;1203",
        "Dresden;01067;15,5;12",
    ]


@pytest.mark.timeout(2 * ENDS_WITHIN_S)
def test_an_engineer_has_a_million_lines(office: Office) -> None:
    countries = ("br", "de", "fr", "jp")
    with (office.files / "events.ndjson").open("w") as file:
        for n in range(MILLION):
            file.write(
                f'{{"id":{n},"country":"{countries[n % 4]}","amount":{n % 100},"user":"u{n % 977}"}}\n'
            )

    run = office.run(office.start("engineer.yaml"))

    assert run["status"] == "succeeded", run["error"]
    # Amounts 52, 56 … 96 of br, 50, 54 … 98 of fr, and so on, each ten thousand times.
    assert run["output"]["sorted"]["rows"] == [
        {"country": "br", "sum_amount": 8_880_000, "count": 120_000},
        {"country": "de", "sum_amount": 9_000_000, "count": 120_000},
        {"country": "fr", "sum_amount": 9_620_000, "count": 130_000},
        {"country": "jp", "sum_amount": 9_750_000, "count": 130_000},
    ]
    read = output_of(run, "read")
    assert read["count"] == MILLION
    assert read["rows"].keys() == {"$blob", "bytes"}


def test_a_user_in_tokyo_names_things_in_japanese(office: Office) -> None:
    table = "日付,店舗,売上（円）\n2026-09-01,東京,1200\n2026-09-01,大阪,800\n2026-09-02,東京,300\n"
    office.write("売上/九月 データ.csv", table)

    run = office.run(office.start("tokyo.yaml"), {"月": "九月"})

    assert run["status"] == "succeeded", run["error"]
    assert office.read("売上/結果　九月.csv").decode() == (
        "店舗,月,sum_税込\n東京,9,1650\n大阪,9,880\n"
    )
    name = "売上の月次集計 📈"
    (listed,) = office.product.json("pipeline", "list", "--name", name)
    assert listed["pipeline_id"] == "uriage-getsuji"


def test_a_user_has_next_to_nothing(office: Office) -> None:
    office.write("one.csv", "a,b\n1,2")
    office.write("header.csv", "\ufeffa,b\r\n")
    office.write("empty.csv", b"")
    pipeline_id = office.start("nothing.yaml")

    one = office.run(pipeline_id, {"file": "one.csv"})
    none = office.run(pipeline_id, {"file": "header.csv"})
    empty = office.run(pipeline_id, {"file": "empty.csv"})

    assert one["status"] == "succeeded", one["error"]
    assert one["output"]["counted"]["rows"] == [{"mean_b": 2.0, "count": 1}]
    assert one["output"]["again"]["rows"] == [{"a": 1, "c": 3}]
    assert none["status"] == "succeeded", none["error"]
    # Its own csv_write left a header, which csv_read takes again.
    assert none["output"]["again"] == {"rows": [], "count": 0}
    assert office.read("little.csv") == b"a,c\n"
    assert office.rows("SELECT a, c FROM little") == [(1, 3)]
    assert (empty["status"], empty["error"]["code"]) == ("failed", "plugin.bad_data")
    assert "'empty.csv' is empty; a header row is required" in empty["error"]["message"]


def test_a_lover_of_yaml_uses_all_of_it(office: Office, tmp_path: Path) -> None:
    office.write("one.csv", "a,b\n1,2")
    text = (USERS / "yaml-lover.yaml").read_text("utf-8")
    windows = tmp_path / "windows.yml"
    windows.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    pipeline_id = office.start("yaml-lover.yaml")

    same = office.product.json("pipeline", "revise", "-f", str(windows), "--dry-run")
    run = office.run(pipeline_id)

    assert same["events"] == []
    assert run["status"] == "succeeded", run["error"]
    assert office.read("odd/odd-yaml 1.ndjson") == b'{"a":1,"b":2}\n'
    shown = office.product.json("pipeline", "get", pipeline_id)
    assert shown["name"] == "2026"
    assert shown["steps"][0]["retry"]["initial_s"] == 0.1


def test_a_careful_user_expects_the_worst(office: Office) -> None:
    office.write("in/2026-11-22.ndjson", '{"n": 1}\n\n{"n": 2}\n')
    office.write("in/2026-11-23.ndjson", "")
    pipeline_id = office.start("careful.yaml")

    good, little, lost = (
        office.run(pipeline_id, {"day": day, "at_least": 1})
        for day in ("2026-11-22", "2026-11-23", "2026-11-24")
    )
    careless = office.run(pipeline_id)

    assert [run["status"] for run in (good, little, lost)] == ["succeeded"] * 3
    assert output_of(good, "stamped")["rows"] == [
        {"n": n, "day": "2026-11-22", "run": good["execution_id"], "year": 2026} for n in (1, 2)
    ]
    assert steps_of(little) == {
        "read": "succeeded",
        "stamped": "skipped",
        "excuse": "succeeded",
        "page": "skipped",
    }
    assert json.loads(office.read("out/2026-11-24.excuse")) == {
        "day": "2026-11-24",
        "read": "failed",
    }
    assert json.loads(office.read("out/2026-11-24.page")) == {"code": "file.not_found"}
    assert careless["status"] == "failed"
    assert "there is no 'day' in an empty map; a run gets it by --input" in str(careless)


def test_a_user_of_postgresql_has_odd_columns(office: Office) -> None:
    orders = [
        {"select": "a", "Grand Total": 1, "tags": ["x"], "paid": True, "größe": None},
        {"select": "b", "Grand Total": 2.5, "tags": None, "paid": None, "größe": "L"},
        {"select": "a", "Grand Total": 3, "note": 'quote " and \\ and \t'},
    ]
    office.write("orders.ndjson", "".join(json.dumps(row) + "\n" for row in orders))
    pipeline_id = office.start("database.yaml")

    first, second = office.run(pipeline_id), office.run(pipeline_id)

    assert first["status"] == second["status"] == "succeeded"
    found = office.rows('SELECT "Grand Total", tags, "größe", note FROM orders ORDER BY _run, 1')
    assert sorted(found[:3], key=str) == sorted(found[3:], key=str)
    assert (2.5, None, "L", None) in found
    assert (1.0, ["x"], None, None) in found
    by_kind = office.rows('SELECT DISTINCT "select", count, "sum_Grand Total" FROM orders_by_kind')
    assert sorted(by_kind) == [("a", 2, 4), ("b", 1, 2.5)]


def test_a_user_goes_from_the_web_into_kafka(office: Office) -> None:
    stations = [{"name": name, "bikes": bikes} for name, bikes in (("Hafen", 0), ("Museum", 3))]
    (office.files.parent / "web" / "stations.json").write_text(
        json.dumps({"data": {"stations": stations}})
    )
    kafka = office.product.endpoints["kafka"]
    pipeline_id = office.start("outside.yaml")

    early = office.run(pipeline_id, {"url": office.web})
    admin = AdminClient({"bootstrap.servers": kafka})
    for made in admin.create_topics([NewTopic("empty-stations", num_partitions=1)]).values():
        made.result(30)
    run = office.run(pipeline_id, {"url": office.web})
    elsewhere = office.run(pipeline_id, {"url": "http://10.0.0.1:8080"})

    assert early["error"]["code"] == "plugin.no_topic"
    assert run["status"] == "succeeded", run["error"]
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": "bikes", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["empty-stations"])
    (message,) = consumer.consume(1, timeout=60)
    consumer.close()
    assert (message.key(), message.value()) == (b"Hafen", b'{"name":"Hafen","bikes":0}')
    assert elsewhere["error"]["code"] == "http.forbidden"


def test_a_user_fans_out_and_in(office: Office) -> None:
    clicks = [("ann", "/"), ("bob", "/"), ("ann", "/buy"), ("cid", "/"), ("cid", "/"), ("ann", "/")]
    rows = [{"user": user, "page": page} for user, page in clicks]
    office.write("clicks.ndjson", "\n".join(map(json.dumps, rows)))

    run = office.run(office.start("fan.yaml"))

    assert run["status"] == "succeeded", run["error"]
    assert office.read("ranked.csv").decode() == (
        "user\tcount\tlast page\nann\t3\t/\ncid\t2\t/\nbob\t1\t/\n"
    )
    assert len(office.read("ranked.ndjson").splitlines()) == 3


def test_a_user_makes_every_mistake_and_goes_by_what_is_said(office: Office) -> None:
    product = office.product

    def problems(file: str) -> str:
        return product.run("pipeline", "validate", str(USERS / file), exits=7).stdout

    assert "put a text that holds ': ' in quotes" in problems("mistaken.yaml")
    shapes = problems("mistaken-2.yaml")
    assert "steps[0].timeout: is no field that is known here" in shapes
    assert "steps[1].needs: a list is required" in shapes
    rules = problems("mistaken-3.yaml")
    for said in (
        "an id is 1 to 63 small letters",
        "a step id is a small letter",
        "the nearest is flexcore.csv_read",
        'write "${{ steps.read.output.rows }}"',
        "write && for and",
    ):
        assert said in rules
    pipeline_id = office.start("mistaken-4.yaml")

    lost = office.run(pipeline_id)
    office.write("sales.csv", "day;amount\n1;15\n2;5\n")
    german = office.run(pipeline_id)
    office.write("sales.csv", "day,amount\n1,15\n2,5\n")
    capital = office.run(pipeline_id)
    revised = office.files / "mended.yaml"
    text = (USERS / "mistaken-4.yaml").read_text()
    revised.write_text(text.replace("row.Amount", "row.amount"))
    product.run("pipeline", "revise", "-f", str(revised))
    mended = office.run(pipeline_id)

    assert "there is no file 'sales.csv' under the files root" in lost["error"]["message"]
    assert "is its delimiter ';'?" in german["error"]["message"]
    assert capital["error"]["message"].endswith("; the row has: day, amount")
    assert mended["output"]["big"] == {"rows": [{"day": 1, "amount": 15}], "count": 1}
