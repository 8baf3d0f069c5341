"""The schemas that are released are those that the dataclasses have."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import fastavro
import pytest

import schemas
from schemas import catalogue
from schemas.avro import schema_of
from schemas.catalogue import Record
from tests.schemas.messages import NAMES, RECORDS

AVSC = Path(schemas.__file__).parent / "avsc"


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_the_committed_schema_is_the_derived_one(record: Record) -> None:
    """Where this fails, a message was changed: `python -m schemas.catalogue` writes its schema."""
    assert json.loads((AVSC / record.path).read_text()) == catalogue.derived(record)


def test_there_is_no_schema_without_a_record() -> None:
    there = {path.relative_to(AVSC).as_posix() for path in AVSC.rglob("*.avsc")}
    assert there == {record.path for record in RECORDS}


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    assert len(catalogue.write(tmp_path)) == len(RECORDS)
    assert catalogue.write(tmp_path) == []
    for record in RECORDS:
        assert (tmp_path / record.path).read_text() == (AVSC / record.path).read_text()


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_every_schema_is_avro(record: Record) -> None:
    parsed = fastavro.parse_schema(catalogue.derived(record))
    assert isinstance(parsed, dict)
    assert parsed["name"] == record.full_name


def test_the_name_of_a_class_is_the_name_of_its_record() -> None:
    for name, record in catalogue.records().items():
        assert name.rpartition(".")[2] == record.cls.__name__ == Path(record.path).stem
        assert catalogue.full_names()[record.cls] == name


@pytest.mark.parametrize(
    "hint", [object, dict, set[str], int | str, tuple[int, int], Mapping[int, str]]
)
def test_what_has_no_avro_form_is_a_type_error(hint: type) -> None:
    cls = dataclasses.make_dataclass("R", [("x", hint)])
    with pytest.raises(TypeError, match="no Avro form"):
        schema_of(cls, lambda _: "flexcore.test")
