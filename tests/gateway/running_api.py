"""The api as users run it: its own process, its own port."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.projections.running import free_port

ROOT = Path(__file__).parents[2]


@dataclass
class RunningApi:
    """Starts when made; its output goes to `log`."""

    folder: Path
    settings: dict[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / f"api-{self.port}.log"
        named = {f"FLEXCORE__{name}": value for name, value in self.settings.items()}
        environment = {
            **{name: value for name, value in os.environ.items() if "FLEXCORE" not in name},
            "PYTHONPATH": str(ROOT),
            "FLEXCORE__API__PORT": str(self.port),
            "FLEXCORE__DATA_DIR": str(self.folder),
            **named,
        }
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.api"], env=environment, stdout=out, stderr=out
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, **how: Any) -> httpx2.Response:
        return httpx2.request(method, self.url + path, trust_env=False, timeout=30, **how)

    def wait_ready(self, within_s: float = 90) -> httpx2.Response:
        """What /readyz?verbose answers once it is 200; looks again every 50 ms."""
        deadline = time.monotonic() + within_s
        while True:
            assert self.process.poll() is None, f"ended: {self.log.read_text()}"
            assert time.monotonic() < deadline, f"not ready: {self.log.read_text()[-5000:]}"
            try:
                answer = self.request("GET", "/readyz?verbose")
                if answer.status_code == httpx2.codes.OK:
                    return answer
            except httpx2.TransportError:
                pass
            time.sleep(0.05)

    def ended(self, within_s: float = 90) -> int:
        """The exit code."""
        return self.process.wait(within_s)

    def stop(self) -> int:
        """As an operator does; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """For what is left of it after a test."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
