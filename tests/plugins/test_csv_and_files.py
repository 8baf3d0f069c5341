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
        ('a\n"open\n', "line 2: unexpected end of data"),
        ('a\n"x"y\n', "line 2"),
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


def test_only_regular_files_are_read(bench: Bench) -> None:
    os.mkfifo(bench.folder / "pipe")
    (bench.folder / "folder").mkdir()
    for path in ("pipe", "folder", "."):
        with pytest.raises(FlexCoreError):
            Files(bench.folder).open_to_read(path)
