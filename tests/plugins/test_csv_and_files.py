"""Reading CSV: kinds of columns, clear errors; and no path leads out of the files root."""

import os
from pathlib import Path

import pytest

from domain.errors import FlexCoreError, Invalid, NotFound
from plugins.files import Files
from plugins.steps import StepFailed
from tests.plugins.running import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "root").mkdir()
    return Bench(tmp_path / "root")


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "", "-3"], [1, None, -3]),
        (["1", "2.5", ""], [1.0, 2.5, None]),
        (["1e3", ".5", "-0.0"], [1000.0, 0.5, -0.0]),
        (["007", "1", "2"], ["007", "1", "2"]),
        (["1", "x", ""], ["1", "x", None]),
        (["", "", ""], [None, None, None]),
        (["9223372036854775808", "1", "2"], [9.223372036854775808e18, 1.0, 2.0]),
        (["nan", "inf", "1"], ["nan", "inf", "1"]),
        (["1_000", "١", " 1"], ["1_000", "١", " 1"]),
        (["true", "2012-01-01", '"a ""b"", c"'], ["true", "2012-01-01", 'a "b", c']),
    ],
)
def test_a_column_has_the_first_kind_that_all_its_values_have(
    bench: Bench, cells: list[str], values: list[object]
) -> None:
    output = bench.csv("name,value\n" + "".join(f"x,{cell}\n" for cell in cells))
    assert output == {"rows": [{"name": "x", "value": value} for value in values], "count": 3}


def test_named_columns_stay_text(bench: Bench) -> None:
    assert bench.csv("code,n\n1,2\n", text=["code"])["rows"] == [{"code": "1", "n": 2}]


def test_marks_delimiters_encodings_and_windows_lines_are_read(bench: Bench) -> None:
    (bench.folder / "a.csv").write_bytes("\ufeffa;b\r\n1;ü\r\n\r\n".encode())
    read = bench.run("csv_read", path="a.csv", delimiter=";")
    assert read["rows"] == [{"a": 1, "b": "ü"}]
    (bench.folder / "b.csv").write_bytes("a\nü\n".encode("latin-1"))
    assert bench.run("csv_read", path="b.csv", encoding="latin-1")["rows"] == [{"a": "ü"}]


GERMAN = """sep=;
Umsatz;Menge;PLZ;Datum
1.234,56;1.200;01067;01.09.2026
-2,5;;50667;02.09.2026
"""


def test_numbers_with_a_comma_are_numbers_where_that_is_said(bench: Bench) -> None:
    rows = bench.csv(GERMAN, decimal=",")["rows"]
    assert rows == [
        {"Umsatz": 1234.56, "Menge": 1200, "PLZ": "01067", "Datum": "01.09.2026"},
        {"Umsatz": -2.5, "Menge": None, "PLZ": "50667", "Datum": "02.09.2026"},
    ]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12.30", "12.30"),
        ("1.2345", "1.2345"),
        ("1 234,5", 1234.5),
        ("1\u202f234\u202f567", 1234567),
        ("1.234 567", "1.234 567"),
        (",5", 0.5),
        ("1,5e3", 1500.0),
        ("9.223.372.036.854.775.808", 9.223372036854775808e18),
        ("1,2,3", "1,2,3"),
    ],
)
def test_what_is_no_number_with_a_comma_stays_text(bench: Bench, cell: str, value: object) -> None:
    assert bench.csv(f"n;x\n{cell};1\n", delimiter=";", decimal=",")["rows"] == [
        {"n": value, "x": 1}
    ]


@pytest.mark.parametrize(
    ("text", "config", "rows"),
    [
        ("a\tb\n1\t'x\ty'\n", {"delimiter": "\t", "quote": "'"}, [{"a": 1, "b": "x\ty"}]),
        ('a,b\n5" pipe,1\n', {"quote": "none"}, [{"a": '5" pipe', "b": 1}]),
        ('a,b\n"say \\"x\\"",1\n', {"escape": "\\"}, [{"a": 'say "x"', "b": 1}]),
        ("Bank\n\na,b\n1,2\n", {"skip": 2}, [{"a": 1, "b": 2}]),
        ("1,2\n", {"columns": ["a", "b"]}, [{"a": 1, "b": 2}]),
        ("", {"columns": ["a", "b"]}, []),
        (
            "a,b\nNA,1\n2,\\N\n",
            {"nulls": ["NA", "\\N"]},
            [{"a": None, "b": 1}, {"a": 2, "b": None}],
        ),
        ("a;b\n1;2\n", {"columns": ["a;b"], "skip": 1}, [{"a;b": "1;2"}]),
    ],
)
def test_a_dialect_is_read_as_it_is_described(
    bench: Bench, text: str, config: dict[str, object], rows: list[object]
) -> None:
    assert bench.csv(text, **config) == {"rows": rows, "count": len(rows)}


def test_a_value_may_be_long(bench: Bench) -> None:
    output = bench.csv(f'a\n"{"x" * 200_000}"\n')
    assert output["count"] == 1


def test_windows_and_old_lines_in_utf_16_are_read(bench: Bench) -> None:
    (bench.folder / "a.csv").write_bytes("a\r1\r".encode("utf-16"))
    assert bench.run("csv_read", path="a.csv", encoding="utf-16")["rows"] == [{"a": 1}]


def test_a_table_for_excel_is_written_and_read_back(bench: Bench) -> None:
    rows = [{"city": "Köln", "fee": 1234.5, "n": None}]
    how = {"path": "out.csv", "delimiter": ";", "decimal": ","}
    bench.run("csv_write", rows=rows, encoding="utf-8-sig", columns=["fee", "city"], **how)
    written = (bench.folder / "out.csv").read_bytes()
    assert written == "\ufefffee;city\n1234,5;Köln\n".encode()
    assert bench.run("csv_read", **how)["rows"] == [{"fee": 1234.5, "city": "Köln"}]


def test_of_no_rows_the_named_columns_are_written_and_read_back(bench: Bench) -> None:
    bench.run("csv_write", rows=[], path="out.csv", columns=["a", "b"])
    assert (bench.folder / "out.csv").read_text() == "a,b\n"
    assert bench.run("csv_read", path="out.csv") == {"rows": [], "count": 0}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"columns": ["a", "z"]}, "field 'columns' names column 'z'; the rows have: a, b"),
        ({"encoding": "latin-1"}, "'€' cannot be written in latin-1"),
        ({"encoding": "klingon"}, "a known encoding is required"),
        ({"delimiter": '"'}, "that is the quote"),
    ],
)
def test_what_cannot_be_written_is_named(
    bench: Bench, config: dict[str, object], says: str
) -> None:
    refused = bench.refusal("csv_write", rows=[{"a": "€", "b": 1}], path="out.csv", **config)
    assert says in refused.message
    assert not (bench.folder / "out.csv").exists()


def test_a_header_alone_is_no_rows(bench: Bench) -> None:
    assert bench.csv("a,b\n") == {"rows": [], "count": 0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty; a header row is required"),
        ("a,a\n1,2\n", "line 1: column 'a'; names must be there and differ"),
        ("a,\n1,2\n", "line 1: column ''"),
        ("a,b\n1,2\n3\n", "line 3: 1 values; the header has 2"),
        ("a,b\n1,2,3\n", "line 2: 3 values; the header has 2"),
        ('a\n"open\n', "line 2: unexpected end of data; a quote is open"),
        ('a\n"x"y\n', "line 2: ',' expected after '\"'; a quote inside quotes is written twice"),
        ("a;b\n1;2\n", "line 1: one column 'a;b'; is its delimiter ';'?"),
    ],
)
def test_bad_csv_is_named_with_its_line(bench: Bench, text: str, says: str) -> None:
    with pytest.raises(StepFailed, match=r"data\.csv") as caught:
        bench.csv(text)
    assert says in caught.value.message
    assert not caught.value.retryable


def test_bytes_of_another_encoding_are_named_with_their_line(bench: Bench) -> None:
    (bench.folder / "a.csv").write_bytes(b"a\nx\n\xfc\n")
    assert "line 3: not utf-8" in bench.refusal("csv_read", path="a.csv").message


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "field 'path' is missing"),
        ({"path": "a", "delimiter": ";;"}, "one character is required"),
        ({"path": "a", "skip": -1}, "a whole number from 0 on is required"),
        ({"path": "a", "decimal": ";"}, "one of ., , is required"),
        ({"path": "data.csv", "encoding": "klingon"}, "a known encoding is required"),
        ({"path": "data.csv", "text": ["zip"]}, "names column 'zip'; the rows have: a"),
    ],
)
def test_a_wrong_config_is_named(bench: Bench, config: dict[str, object], says: str) -> None:
    bench.csv("a\n1\n")
    assert says in bench.refusal("csv_read", **config).message


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../outside.csv", "a/../../outside.csv", "a\0b", "out"]
)
def test_no_path_leads_out_of_the_root(bench: Bench, path: str) -> None:
    (bench.folder.parent / "outside.csv").write_text("a\n1\n")
    (bench.folder / "out").symlink_to(bench.folder.parent / "outside.csv")
    with pytest.raises(Invalid):
        bench.run("csv_read", path=path)
    with pytest.raises(Invalid):
        bench.run("ndjson_write", rows=[], path=path)


def test_a_link_to_a_folder_outside_leads_nowhere(bench: Bench) -> None:
    (bench.folder / "link").symlink_to(bench.folder.parent)
    with pytest.raises(Invalid, match="leaves the files root"):
        bench.run("ndjson_write", rows=[], path="link/x.ndjson")


def test_a_link_inside_the_root_is_followed(bench: Bench) -> None:
    (bench.folder / "a.csv").write_text("a\n1\n")
    (bench.folder / "link.csv").symlink_to("a.csv")
    assert bench.run("csv_read", path="link.csv")["count"] == 1


def test_a_missing_file_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound, match=r"no file 'nothing\.csv'"):
        bench.run("csv_read", path="nothing.csv")


def test_whoever_could_read_a_file_still_can(bench: Bench) -> None:
    file = bench.folder / "out.ndjson"
    umask = os.umask(0o027)
    try:
        bench.run("ndjson_write", rows=[], path="out.ndjson")
    finally:
        os.umask(umask)
    assert file.stat().st_mode & 0o777 == 0o640

    file.chmod(0o604)
    bench.run("ndjson_write", rows=[{"a": 1}], path="out.ndjson")

    assert (file.stat().st_mode & 0o777, file.read_bytes()) == (0o604, b'{"a":1}\n')


def test_only_regular_files_are_read(bench: Bench) -> None:
    os.mkfifo(bench.folder / "pipe")
    (bench.folder / "folder").mkdir()
    for path in ("pipe", "folder", "."):
        with pytest.raises(FlexCoreError):
            Files(bench.folder).open_to_read(path)
