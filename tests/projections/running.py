"""A projector as users run it: its own process, its own port."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A port that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RunningProjector:
    """Starts when made; `log` gets what it says."""

    bootstrap: str
    prefix: str
    database: str
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FLEXCORE__KAFKA__BOOTSTRAP": self.bootstrap,
            "FLEXCORE__KAFKA__PREFIX": self.prefix,
            "FLEXCORE__DATABASE__URL": self.database,
            "FLEXCORE__DATA_DIR": str(self.folder / str(self.port)),
            "FLEXCORE__PROJECTOR__WEB_PORT": str(self.port),
        }
        self.log = self.folder / f"projector-{self.port}.log"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.projector"],
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str) -> tuple[int, Any]:
        """(status, JSON body); status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError:
            return 0, None

    def row(self, table: str, key: str) -> tuple[int, Any]:
        """What the table's page says of a key."""
        return self.get(f"/v1/tables/{table}/{quote(key, safe='')}")

    def wait_ready(self, within_s: float = 90) -> None:
        """Wait until it folds and stores."""
        self.wait(lambda: self.get("/readyz")[0] == 200, "ready", within_s)

    def wait(self, reached: Any, what: str, within_s: float = 60) -> None:
        """Wait for a condition, looking again every 50 ms."""
        deadline = time.monotonic() + within_s
        while not reached():
            assert self.process.poll() is None, f"ended: {self.log.read_text()}"
            assert time.monotonic() < deadline, f"not {what}: {self.log.read_text()[-5000:]}"
            time.sleep(0.05)

    def kill(self) -> None:
        """As a crash does."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """As an operator does; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)
