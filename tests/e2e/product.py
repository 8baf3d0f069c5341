"""The product as a user has it: `./flexcore` in a clone, a data folder, a terminal."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.embedded.jars import ROOT

WITHIN_S = 240
"""A cold start on two busy cores, Kafka's jars at hand."""


@dataclass(frozen=True)
class Product:
    """Runs commands over one data folder, on whatever ports are free."""

    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """variables beside those that every such product has"""

    @property
    def endpoints(self) -> dict[str, Any]:
        """What `endpoints.json` says."""
        found: dict[str, Any] = json.loads((self.data_dir / "endpoints.json").read_text())
        return found

    def run(self, *arguments: str, exits: int = 0) -> "subprocess.CompletedProcess[str]":
        """Run `./flexcore` with these arguments; it must succeed, or end with another exit code."""
        return self.shell(shlex.join(["./flexcore", *arguments]), exits=exits)

    def json(self, *arguments: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(self.run(*arguments, "-o", "json").stdout)

    def example(self, name: str, *arguments: str) -> str:
        """Run a program of examples/; what it prints."""
        return self.shell(shlex.join([sys.executable, f"examples/{name}", *arguments])).stdout

    def shell(self, line: str, *, exits: int = 0) -> "subprocess.CompletedProcess[str]":
        """Run a line of shell in the clone; it must end with this exit code."""
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert ran.returncode == exits, f"{line}\n{ran.stdout}\n{ran.stderr}"
        return ran

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "FLEXCORE__DATA_DIR": str(self.data_dir),
            "FLEXCORE__API__PORT": "0",
            "FLEXCORE__PROJECTOR__WEB_PORT": "0",
            **self.settings,
        }
