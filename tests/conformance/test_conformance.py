"""./flexcore conformance without schemathesis: how it is called, and what is made of what it tells."""

import json
from pathlib import Path

import pytest

from tests.conformance.__main__ import asked_for, cases_of, held

SCENARIOS = [
    {"EngineStarted": {}},
    {
        "ScenarioFinished": {
            "recorder": {
                "label": "GET /livez",
                "cases": {
                    "a": {"value": {"method": "GET", "path": "/livez"}},
                    "b": {"value": {"method": "TRACE", "path": "/livez"}},
                },
            }
        }
    },
    {
        "ScenarioFinished": {
            "recorder": {
                "label": "Stateful tests",
                "cases": {
                    "c": {"value": {"method": "GET", "path": "/livez"}},
                    "d": {"value": {"method": "GET", "path": "/readyz"}},
                },
            }
        }
    },
]
FAKE = """#!/bin/sh
echo "$@" > called
echo "[$PYTHONPATH]" >> called
exit {code}
"""


def test_cases_are_counted_by_operation(tmp_path: Path) -> None:
    events = tmp_path / "events.ndjson"
    events.write_text("\n\n".join(json.dumps(one) for one in SCENARIOS))
    assert cases_of(events) == {"GET /livez": 3, "GET /readyz": 1}


@pytest.mark.parametrize("code", [0, 1])
def test_its_word_is_the_exit_code(tmp_path: Path, code: int) -> None:
    program = tmp_path / "schemathesis"
    program.write_text(FAKE.replace("{code}", str(code)))
    program.chmod(0o755)
    asked = asked_for(["--cases=7", "--seed=3", "GET /livez"])
    found = held(tmp_path, "http://127.0.0.1:1", asked, tmp_path / "events.ndjson", tmp_path)
    arguments, path = (tmp_path / "called").read_text().splitlines()
    assert found == code
    assert "run http://127.0.0.1:1/openapi.json --max-examples=7" in arguments
    assert "--seed=3 --include-name=GET /livez" in arguments
    assert path == "[]"
