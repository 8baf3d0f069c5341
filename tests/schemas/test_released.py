"""The gate over schemas: what no release may do to what an older one has written."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Invalid
from schemas import catalogue
from schemas.released import AVSC, FILE, Problem, Released, problems, release, released
from tests.schemas.golden import goldens

EVENT = "flexcore.pipeline.PipelineActivated"
COMMAND = "flexcore.pipeline.ActivatePipeline"
STATE = "flexcore.pipeline.Pipeline"


def before(record: str, *fields: dict[str, Any], without: str = "") -> Released:
    """A release whose schema of `record` had `fields` more, or one less, than it has now."""
    schema = json.loads(catalogue.committed(record))
    schema["fields"] = [field for field in schema["fields"] if field["name"] != without]
    schema["fields"] += fields
    topic = catalogue.records()[record].topic
    return Released(record, 1, "0.0.1", topic, json.dumps(schema))


def test_todays_schemas_go_together_with_everything_released() -> None:
    """Where this fails: `flexcore schema check` says what to do."""
    assert problems(AVSC, released()) == []


def test_the_versions_of_a_record_count_from_one() -> None:
    found = released()
    for record in {one.record for one in found}:
        versions = [one.version for one in found if one.record == record]
        assert versions == list(range(1, len(versions) + 1))


def test_every_released_schema_has_a_recording() -> None:
    """Its bytes stand in tests/histories for ever, so that the codec is held to them."""
    recorded = [(golden.record, golden.schema) for golden in goldens()]
    assert [one for one in released() if (one.record, json.loads(one.schema)) not in recorded] == []


def test_a_new_field_of_an_event_needs_a_default() -> None:
    (found,) = problems(AVSC, [before(EVENT, without="reason")])

    assert found == Problem(
        EVENT,
        "reason",
        "FULL_TRANSITIVE",
        1,
        "version 1 does not have it, the new schema has no default",
        "give the new field a default (`| None` in its class)",
    )


def test_a_field_of_an_event_is_not_dropped() -> None:
    (found,) = problems(AVSC, [before(EVENT, {"name": "why", "type": "string"})])

    assert (found.field, found.fix) == ("why", "keep the field")
    assert found.what == "the new schema does not have it, version 1 has no default"


def test_a_field_with_a_default_comes_and_goes() -> None:
    why = {"name": "why", "type": ["null", "string"], "default": None}
    assert problems(AVSC, [before(EVENT, why)]) == []


def test_a_field_of_a_command_may_be_dropped_for_nobody_older_reads_it() -> None:
    assert problems(AVSC, [before(COMMAND, {"name": "why", "type": "string"})]) == []
    (found,) = problems(AVSC, [before(COMMAND, without="reason")])
    assert (found.record, found.level) == (COMMAND, "BACKWARD_TRANSITIVE")


def test_every_version_counts_and_not_the_last_alone() -> None:
    now = before(EVENT)
    found = problems(AVSC, [before(EVENT, without="reason"), replace(now, version=2)])
    assert [(one.field, one.version) for one in found] == [("reason", 1)]


def test_states_may_change_as_they_like() -> None:
    assert problems(AVSC, [before(STATE, without="name")]) == []


def test_a_released_record_does_not_go_away() -> None:
    old = replace(before(EVENT), record="flexcore.pipeline.PipelineMelted")
    (found,) = problems(AVSC, [old])
    assert (found.record, found.fix) == (
        old.record,
        "keep its class, so that what was written can be read",
    )
    assert problems(AVSC, [replace(old, topic="pipeline.snapshots")]) == []


def test_a_schema_that_is_not_written_is_named(tmp_path: Path) -> None:
    catalogue.write(tmp_path)
    path = tmp_path / catalogue.records()[EVENT].path
    path.write_text(path.read_text().replace("reason", "reasons"))

    (found,) = problems(tmp_path, released())

    assert (found.record, found.fix) == (EVENT, "run `flexcore schema write`")


class TestReleasing:
    """`flexcore schema release`."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "released.jsonl"

    def test_each_schema_is_added_once(self, file: Path) -> None:
        added = release("1.0.0", file=file)

        assert released(file) == added
        assert {one.record for one in added} == {one.record for one in released()}
        assert release("1.1.0", file=file) == []

    def test_a_changed_schema_becomes_the_next_version(self, file: Path) -> None:
        release("1.0.0", file=file)
        why = {"name": "why", "type": ["null", "string"], "default": None}
        older = json.loads(before(EVENT, why).schema)
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        changed = [{**line, "schema": older} if line["record"] == EVENT else line for line in lines]
        file.write_text("".join(json.dumps(line) + "\n" for line in changed))

        (added,) = release("1.1.0", file=file)

        assert (added.record, added.version, added.release) == (EVENT, 2, "1.1.0")
        assert len(released(file)) == len(lines) + 1

    def test_a_dry_run_adds_nothing(self, file: Path) -> None:
        assert release("1.0.0", file=file, dry_run=True)
        assert not file.exists()

    def test_nothing_is_released_over_a_problem(self, file: Path) -> None:
        old = before(EVENT, without="reason")
        line = json.dumps({**vars_of(old), "schema": json.loads(old.schema)}) + "\n"
        file.write_text(line)

        with pytest.raises(Invalid, match="flexcore schema check"):
            release("1.1.0", file=file)
        assert file.read_text() == line


def vars_of(one: Released) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Released.__slots__}


def test_the_record_of_releases_is_shipped() -> None:
    assert FILE.parent == Path(catalogue.__file__).parent
    assert released()
