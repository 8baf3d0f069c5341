"""The service processes of a stack: `python -m services.<role>`, ready when GET /readyz says so."""

import http.client
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.embedded import ports, process
from services.embedded.errors import failed
from services.private_file import write_private

log = logging.getLogger("flexcore.stack")

# Far above the 1–3 s it takes: on a machine with ten times its load it took 33 s.
_READY_WITHIN_S = 120.0
_POLL_S = 0.02
# A worker that loses its fence while it starts exits with 70 and is right the next time.
_STARTS = 3
_WORTH_A_RESTART = frozenset({70, 71})


@dataclass(frozen=True, slots=True)
class Role:
    """One service: its name, its module, and the variable that tells it its port."""

    name: str
    module: str
    port_variable: str


WORKER = Role("worker", "services.worker", "FLEXCORE__WORKER__WEB_PORT")
PROJECTOR = Role("projector", "services.projector", "FLEXCORE__PROJECTOR__WEB_PORT")
API = Role("api", "services.api", "FLEXCORE__API__PORT")
ROLES = (WORKER, PROJECTOR, API)


@dataclass(slots=True)
class RoleStarter:
    """Starts one role, each time on the port it had if that is free; `url` is where it is now.

    `prestart` begins the first start before `environment` is known, with the imports.
    """

    role: Role
    usual_port: int | None
    environment: Mapping[str, str]
    log_file: Path
    cwd: Path
    url: str = field(default="", init=False)
    _port: int | None = field(default=None, init=False)
    _prestarted: process.Supervised | None = field(default=None, init=False)

    def prestart(self) -> None:
        """Start a process that imports the service and waits; `discard` or a start ends the waiting."""
        self._gate.unlink(missing_ok=True)
        command = [sys.executable, "-m", "services.prestart", self.role.module, str(self._gate)]
        self._prestarted = process.start(
            command, log=self.log_file, env=self.environment, cwd=self.cwd
        )

    def discard(self) -> None:
        """End a process that still waits."""
        waiting, self._prestarted = self._prestarted, None
        if waiting is not None:
            waiting.stop()

    def __call__(self, stopping: threading.Event) -> process.Supervised:
        """Start and wait until it is ready; raises `Unavailable` (`stack.failed`)."""
        for _ in range(_STARTS - 1):
            child, code = self._try(stopping)
            if code is None:
                return child
            if code not in _WORTH_A_RESTART and not self._lost_its_port():
                raise self._ended(code)
        child, code = self._try(stopping)
        if code is None:
            return child
        raise self._ended(code)

    def _lost_its_port(self) -> bool:
        return self._port is not None and not ports.is_free(self._port)

    def _try(self, stopping: threading.Event) -> tuple[process.Supervised, int | None]:
        """The child, and None when it is ready or its exit code when it has ended."""
        child = self._spawn()
        try:
            code = self._await_ready(child, stopping)
        except BaseException:
            child.stop()
            raise
        if code is not None:
            log.warning("process_ended role=%s exit_code=%s", self.role.name, code)
            child.stop()
        return child, code

    def _spawn(self) -> process.Supervised:
        port = self._port = ports.pick(self._port or self.usual_port)
        self.url = f"http://127.0.0.1:{port}"
        environment = {**self.environment, self.role.port_variable: str(port)}
        waiting, self._prestarted = self._prestarted, None
        if waiting is not None and waiting.poll() is None:
            write_private(self._gate, json.dumps(environment))
            return waiting
        return process.start(
            [sys.executable, "-m", self.role.module],
            log=self.log_file,
            env=environment,
            cwd=self.cwd,
        )

    @property
    def _gate(self) -> Path:
        return self.log_file.with_suffix(".gate")

    def _await_ready(self, child: process.Supervised, stopping: threading.Event) -> int | None:
        """None when ready, else the exit code."""
        deadline = time.monotonic() + _READY_WITHIN_S
        while not answers_ready(self.url):
            if (code := child.poll()) is not None:
                return code
            if time.monotonic() > deadline:
                raise self._error(f"it was not ready within {_READY_WITHIN_S:.0f} s")
            if stopping.wait(_POLL_S):
                raise self._error("the stack is being stopped")
        return None

    def _ended(self, code: int) -> Exception:
        return self._error(f"it ended with exit code {code}")

    def _error(self, cause: str) -> Exception:
        said = process.tail(self.log_file, lines=1)
        if told := refusal_of(said):
            return failed(f"the {self.role.name} did not start", cause=told[0], fix=told[1])
        cause = f"{cause} ({said})" if said else cause
        return failed(
            f"the {self.role.name} did not start", cause=cause, fix=f"look into {self.log_file}"
        )


def refusal_of(line: str) -> tuple[str, str] | None:
    """Cause and fix that a service has logged as its last word; `None` where it was another one."""
    try:
        told = json.loads(line)
    except ValueError:
        return None
    if not isinstance(told, dict) or told.get("event") != "cannot_start":
        return None
    return ": ".join(part for part in (told["what"], told["cause"]) if part), told["fix"]


def answers_ready(url: str, *, timeout_s: float = 2.0) -> bool:
    """Whether GET /readyz answers 200."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=timeout_s)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


Starter = Callable[[threading.Event], process.Supervised]
