"""The built-in steps on rows: given / when / then."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.builtin import BUILTIN
from plugins.builtin.aggregate import AGGREGATES
from tests.plugins.running import Bench

WEATHER = [
    {"city": "A", "month": 1, "temp": 1.0, "rain": 2},
    {"city": "B", "month": 1, "temp": 3.0, "rain": None},
    {"city": "A", "month": 2, "temp": 5.0, "rain": 4},
]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_derive_adds_and_changes_columns_of_the_row_as_it_came(bench: Bench) -> None:
    output = bench.run("derive", rows=[{"a": 1, "b": 2}], set={"b": "row.a", "c": "row.b + 1"})
    assert output == {"rows": [{"a": 1, "b": 1, "c": 3}], "count": 1}


def test_derive_names_the_column_and_the_row_that_fail(bench: Bench) -> None:
    failed = bench.refusal("derive", rows=[{"a": 1}, {"b": 1}], set={"c": "row.a"})
    assert failed.code == "plugin.bad_data"
    assert failed.message.startswith("field 'set.c', row 2: there is no field 'a'")
    assert failed.message.endswith("; the row has: b")


def test_derive_sees_whole_rows_where_the_expression_needs_them(bench: Bench) -> None:
    output = bench.run("derive", rows=[{"a": 1, "b": 2}], set={"n": "size(row)"})
    assert output["rows"] == [{"a": 1, "b": 2, "n": 2}]


def test_filter_keeps_what_is_true(bench: Bench) -> None:
    assert bench.run("filter", rows=WEATHER, where="row.temp > 2.0") == {
        "rows": WEATHER[1:],
        "count": 2,
    }


def test_filter_refuses_what_is_neither_true_nor_false(bench: Bench) -> None:
    assert (
        "row 1 is 1.0; true or false"
        in bench.refusal("filter", rows=WEATHER, where="row.temp").message
    )


def test_aggregate_makes_one_row_per_group_in_order_of_appearance(bench: Bench) -> None:
    output = bench.run(
        "aggregate",
        rows=WEATHER,
        by=["city"],
        mean=["temp"],
        sum=["rain"],
        max=["month"],
        count=True,
    )
    assert output["rows"] == [
        {"city": "A", "mean_temp": 3.0, "sum_rain": 6, "max_month": 2, "count": 2},
        {"city": "B", "mean_temp": 3.0, "sum_rain": None, "max_month": 1, "count": 1},
    ]


def test_aggregate_without_by_is_one_group(bench: Bench) -> None:
    assert bench.run("aggregate", rows=WEATHER, min=["city"])["rows"] == [{"min_city": "A"}]


def test_aggregate_of_nothing_is_nothing(bench: Bench) -> None:
    assert bench.run("aggregate", rows=[], by=["x"], sum=["y"]) == {"rows": [], "count": 0}


def test_true_and_one_are_different_groups(bench: Bench) -> None:
    rows = [{"x": True}, {"x": 1}]
    assert bench.run("aggregate", rows=rows, by=["x"], count=True)["count"] == 2


@given(st.lists(st.floats(-1e12, 1e12), min_size=1), st.integers())
def test_sums_and_means_do_not_depend_on_the_order(values: list[float], seed: int) -> None:
    shuffled = random.Random(seed).sample(values, len(values))
    for how in ("sum", "mean", "min", "max"):
        assert AGGREGATES[how](values) == AGGREGATES[how](shuffled)


def test_inner_join_keeps_pairs_and_renames_what_both_have(bench: Bench) -> None:
    left = [{"m": 1, "t": 1.0}, {"m": 2, "t": 2.0}, {"m": None, "t": 0.0}]
    right = [{"m": 1, "t": 10.0, "u": "x"}, {"m": 1, "t": 11.0, "u": "y"}, {"m": None, "t": 0.0}]
    assert bench.run("join", left=left, right=right, on=["m"])["rows"] == [
        {"m": 1, "t": 1.0, "t_right": 10.0, "u": "x"},
        {"m": 1, "t": 1.0, "t_right": 11.0, "u": "y"},
    ]


def test_left_join_keeps_rows_without_partner(bench: Bench) -> None:
    rows = bench.run(
        "join", left=[{"m": 1}, {"m": 2}], right=[{"m": 2, "u": 5}], on=["m"], how="left"
    )
    assert rows["rows"] == [{"m": 1, "u": None}, {"m": 2, "u": 5}]


def test_join_of_text_with_numbers_is_refused(bench: Bench) -> None:
    failed = bench.refusal("join", left=[{"m": 1}], right=[{"m": "1"}], on=["m"])
    assert "column 'm' is number on the left and text on the right" in failed.message


def test_join_refuses_two_columns_of_one_name(bench: Bench) -> None:
    left, right = [{"m": 1, "t": 1, "t_right": 2}], [{"m": 1, "t": 3}]
    assert (
        "'t_right' would be there twice"
        in bench.refusal("join", left=left, right=right, on=["m"]).message
    )


def test_rows_travel_as_a_blob_when_the_output_would_be_too_large(bench: Bench) -> None:
    rows = [{"n": number, "text": "x" * 50} for number in range(1_000)]
    large = bench.run("filter", rows=rows, where="true")
    assert large["count"] == 1_000
    assert isinstance(large["rows"], dict)
    assert large["rows"].keys() == {"$blob", "bytes"}
    small = bench.run("filter", rows=large["rows"], where="row.n < 2")
    assert small["rows"] == rows[:2]


def test_select_keeps_columns_in_the_order_and_under_the_names_asked_for(bench: Bench) -> None:
    output = bench.run("select", rows=WEATHER, columns=["temp", "city"], rename={"temp": "celsius"})
    assert json.dumps(output["rows"]).startswith('[{"celsius": 1.0, "city": "A"}')
    renamed = bench.run("select", rows=[{"a": 1}, {"b": 2}], rename={"a": "c"})
    assert renamed["rows"] == [{"c": 1, "b": None}, {"c": None, "b": 2}]


def test_sort_goes_by_several_columns_either_way_with_nulls_last(bench: Bench) -> None:
    rows = bench.run("sort", rows=WEATHER, by=["city", "temp"], descending=["temp"])["rows"]
    assert [(row["city"], row["temp"]) for row in rows] == [("A", 5.0), ("A", 1.0), ("B", 3.0)]
    for descending in ([], ["rain"]):
        rows = bench.run("sort", rows=WEATHER, by=["rain"], descending=descending)["rows"]
        assert rows[-1]["rain"] is None


@given(st.lists(st.tuples(st.integers(0, 3) | st.none(), st.integers(0, 3))))
def test_sort_keeps_the_order_of_equals(values: list[tuple[int | None, int]]) -> None:
    rows = [{"a": a, "b": b, "n": n} for n, (a, b) in enumerate(values)]
    found = Bench(Path()).run("sort", rows=rows, by=["a", "b"], descending=["b"])["rows"]
    expected = sorted(rows, key=lambda row: (row["a"] is None, row["a"] or 0, -(row["b"] or 0)))
    assert found == expected


def test_deduplicate_keeps_the_first_or_the_last_in_their_order(bench: Bench) -> None:
    rows = [{"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 3}, {"a": True, "b": 4}]
    assert bench.run("deduplicate", rows=rows, by=["a"])["rows"] == [rows[0], rows[1], rows[3]]
    last = bench.run("deduplicate", rows=rows, by=["a"], keep="last")
    assert last["rows"] == [rows[1], rows[2], rows[3]]
    assert bench.run("deduplicate", rows=[*rows, {"b": 1, "a": 1}])["rows"] == rows


def test_csv_write_is_read_back_as_it_was(bench: Bench) -> None:
    rows = [{"n": 1, "t": 'a, "b"\nc', "x": None}, {"n": 2, "t": "ü", "x": 1.5}]
    output = bench.run("csv_write", rows=rows, path="rows.csv")
    assert output == {"path": "rows.csv", "count": 2, "bytes": 31}
    assert bench.run("csv_read", path="rows.csv")["rows"] == rows
    bench.run("csv_write", rows=[{"a": True, "b": [1]}], path="rows.csv", delimiter=";")
    assert (bench.folder / "rows.csv").read_text() == "a;b\ntrue;[1]\n"
    bench.run("csv_write", rows=[], path="rows.csv")
    assert (bench.folder / "rows.csv").read_bytes() == b""


def test_ndjson_is_read_as_it_was_written(bench: Bench) -> None:
    bench.run("ndjson_write", rows=WEATHER, path="rows.ndjson")
    assert bench.run("ndjson_read", path="rows.ndjson") == {"rows": WEATHER, "count": 3}
    (bench.folder / "foreign.ndjson").write_bytes('\ufeff{"a": 1}\r\n\r\n{}'.encode())
    assert bench.run("ndjson_read", path="foreign.ndjson")["rows"] == [{"a": 1}, {}]


@pytest.mark.parametrize(
    ("text", "says"), [('{"a": 1}\n{', "line 2: no JSON"), ("\n[1]", "line 2 is '[1]'; an object")]
)
def test_ndjson_names_the_line_that_is_wrong(bench: Bench, text: str, says: str) -> None:
    (bench.folder / "a.ndjson").write_text(text)
    assert says in bench.refusal("ndjson_read", path="a.ndjson").message


def test_ndjson_write_replaces_the_file(bench: Bench) -> None:
    bench.run("ndjson_write", rows=WEATHER, path="out/rows.ndjson")
    output = bench.run("ndjson_write", rows=[{"a": 1}, {"b": "ü"}], path="out/rows.ndjson")
    written = (bench.folder / "out" / "rows.ndjson").read_text()
    assert written == '{"a":1}\n{"b":"ü"}\n'
    assert output == {"path": "out/rows.ndjson", "count": 2, "bytes": len(written.encode())}
    assert [path.name for path in (bench.folder / "out").iterdir()] == ["rows.ndjson"]


@pytest.mark.parametrize(
    ("uses", "config", "says"),
    [
        ("derive", {"rows": []}, "field 'set' is missing; a map from column names"),
        ("derive", {"rows": [], "set": {"a": "row."}}, "field 'set.a' is 'row.': column 5"),
        ("derive", {"rows": [], "set": {"a": "steps.x"}}, "unknown name 'steps'; known: row"),
        ("derive", {"set": {"a": "1"}}, "field 'rows' is missing"),
        ("filter", {"rows": 3, "where": "true"}, "field 'rows' is '3'; a list of rows or a blob"),
        ("filter", {"rows": [3], "where": "true"}, "field 'rows', row 1 is '3'; a map is required"),
        ("filter", {"rows": [], "where": "true", "x": 1}, "unknown field 'x'; known: rows, where"),
        ("aggregate", {"rows": [], "by": ["a"]}, "nothing to compute"),
        (
            "aggregate",
            {"rows": WEATHER, "by": ["x"], "count": True},
            "column 'x'; the rows have: city",
        ),
        (
            "aggregate",
            {"rows": WEATHER, "sum": "temp"},
            "field 'sum' is 'temp'; a list of column names",
        ),
        (
            "aggregate",
            {"rows": WEATHER, "sum": ["city"]},
            "field 'sum', column 'city': 'A' is no number",
        ),
        ("aggregate", {"rows": WEATHER, "sum": ["temp", "temp"]}, "every column may be named once"),
        ("join", {"left": [], "right": [], "on": ["a"], "how": "outer"}, "one of inner, left"),
        ("join", {"left": [], "right": [], "on": []}, "field 'on' is '[]'; a list of column names"),
        ("select", {"rows": []}, "nothing to do; one of columns, rename"),
        ("select", {"rows": WEATHER, "columns": ["x"]}, "column 'x'; the rows have: city"),
        (
            "select",
            {"rows": WEATHER, "rename": {"city": "month"}},
            "column 'month' would be there twice",
        ),
        ("sort", {"rows": []}, "field 'by' is missing"),
        ("sort", {"rows": [], "by": ["a"], "descending": ["b"]}, "column 'b', which `by` does not"),
        ("sort", {"rows": [{"a": 1}, {"a": "b"}], "by": ["a"]}, "holds number and text"),
        ("sort", {"rows": [{"a": []}], "by": ["a"]}, "'[]' has no order"),
        ("deduplicate", {"rows": [{"a": {}}]}, "holds a list or a map"),
        ("deduplicate", {"rows": [], "keep": "all"}, "one of first, last"),
        ("csv_write", {"rows": [], "path": "a", "delimiter": "\n"}, "one character is required"),
        ("ndjson_write", {"rows": []}, "field 'path' is missing; text is required"),
        ("postgres_write", {"table": "x; drop", "rows": []}, "field 'table' is 'x; drop'"),
        (
            "postgres_write",
            {"table": "x", "rows": [{"_run": 1}]},
            "column '_run' cannot be written",
        ),
        ("postgres_write", {"table": "x", "rows": [{"a": 1}, {"a": "b"}]}, "bigint and text"),
    ],
)
def test_a_wrong_config_is_named_with_what_is_required(
    bench: Bench, uses: str, config: dict[str, object], says: str
) -> None:
    failed = bench.refusal(uses, **config)
    assert says in failed.message
    assert not failed.retryable


def test_every_name_of_the_table_of_contents_is_a_step() -> None:
    assert all(place.endswith(f".{name.split('.')[1]}:run") for name, place in BUILTIN.items())
