"""docs/schemas.md: a command by Confluent's producer, its event by Confluent's consumer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from services.embedded.jars import ROOT
from tests.e2e.conftest import Demonstrated

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]


def test_confluents_clients_need_the_registry_alone(
    demonstrated: Demonstrated, tmp_path: Path
) -> None:
    places = demonstrated.product.endpoints
    page = (ROOT / "docs" / "schemas.md").read_text("utf-8")
    (shown,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    program = tmp_path / "clients.py"
    # The page names the usual ports; this stack took free ones.
    program.write_text(
        shown.replace("127.0.0.1:9092", places["kafka"]).replace(
            "http://127.0.0.1:8350/registry", places["registry"]
        )
    )

    ran = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=120, check=False
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("created confluent-")
