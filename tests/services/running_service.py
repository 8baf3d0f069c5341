"""Any of the three services as users run it: `python -m services.<role>`, its own port, its own log."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.embedded import ports
from services.installation import ROOT
from tests.stack.waiting import until

ROLES = ("api", "worker", "projector")
PORT_OF = {
    "api": "API__PORT",
    "worker": "WORKER__WEB_PORT",
    "projector": "PROJECTOR__WEB_PORT",
}
ENDS_WITHIN_S = 25.0
READY_WITHIN_S = 240.0
"""Far above the 3 s it takes: on a machine with thirty times its load it took 100 s."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a page: 0 where nobody listens; names of headers in small letters."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass
class RunningService:
    """Starts when made; `settings` are names without FLEXCORE__."""

    role: str
    folder: Path
    settings: Mapping[str, str]
    port: int = field(default_factory=ports.pick)
    process: "subprocess.Popen[bytes]" = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / f"{self.role}-{self.port}.log"
        environment = {
            **{name: value for name, value in os.environ.items() if "FLEXCORE" not in name},
            "PYTHONPATH": str(ROOT),
            **{
                f"FLEXCORE__{name}": value
                for name, value in {
                    "DATA_DIR": str(self.folder / "data"),
                    PORT_OF[self.role]: str(self.port),
                    **self.settings,
                }.items()
            },
        }
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.role}"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def get(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        """What a page answers; `_` in the names of headers stands for `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {"Content-Type": "application/json", **named},
            )
            answer = connection.getresponse()
            text = answer.read()
            is_json = "json" in answer.headers.get("Content-Type", "")
            found = json.loads(text) if is_json and text else None
            return Answer(
                answer.status,
                {name.lower(): value for name, value in answer.headers.items()},
                found,
            )
        except (OSError, http.client.HTTPException):
            return Answer(0)
        finally:
            connection.close()

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return self.get("/readyz").status == 200

    def wait_ready(self) -> None:
        until(self.is_ready, within_s=READY_WITHIN_S)

    def wait_said(self, event: str, within_s: float = READY_WITHIN_S) -> None:
        """Until its log names an event."""

        def said() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return event in self.log.read_text()

        until(said, within_s=within_s)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self, within_s: float = READY_WITHIN_S) -> int:
        """The exit code."""
        return self.process.wait(within_s)

    def stop(self) -> tuple[int, float]:
        """As an operator does; the exit code, and the seconds that it took."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        code = self.ended(ENDS_WITHIN_S)
        return code, time.monotonic() - began

    def kill(self) -> None:
        """For what is left of it after a test."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged; fails where a line is no JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def refusal(self) -> tuple[int, tuple[str, str, str, str]]:
        """Its exit code, and (code, what, cause, fix) of its one error, without a stack trace."""
        code = self.ended()
        found = [line for line in self.lines() if line["level"] in ("error", "critical")]
        assert [line["event"] for line in found] == ["cannot_start"], self.log.read_text()
        assert "Traceback" not in self.log.read_text()
        told = found[0]
        return code, (told["code"], told["what"], told["cause"], told["fix"])


Start = Callable[..., RunningService]


def starter(folder: Path, started: list[RunningService]) -> Start:
    """Starts services into `started`; whoever made that list ends them."""

    def start(role: str, settings: Mapping[str, str], **how: Any) -> RunningService:
        started.append(RunningService(role, folder, settings, **how))
        return started[-1]

    return start
