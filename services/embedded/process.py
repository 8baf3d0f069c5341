"""A supervised child process: it never outlives us, however we end."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.embedded.errors import failed

_SUPERVISE = Path(__file__).with_name("supervise.py")
_PID_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Supervised:
    """A running child and the supervisor that ends it when our end of the socketpair closes."""

    pid: int
    _supervisor: "subprocess.Popen[bytes]" = field(repr=False)
    _lifeline: socket.socket = field(repr=False)
    _grace_s: float = 10.0
    _stopping: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def poll(self) -> int | None:
        """Exit code once the child has ended (128 + n after signal n), else None."""
        return self._supervisor.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """Exit code; raises `subprocess.TimeoutExpired`."""
        return self._supervisor.wait(timeout_s)

    def stop(self) -> int:
        """End the child: its signal, the grace period, SIGKILL; may be called again. Returns the exit code."""
        with self._stopping:
            self._lifeline.close()
            try:
                return self._supervisor.wait(self._grace_s + 5)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
                return self._supervisor.wait(5)


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    end_signal: signal.Signals = signal.SIGTERM,
    grace_s: float = 10.0,
    ids: tuple[int, int] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Supervised:
    """Start `command` under a supervisor, its output appended to `log`; `ids` = (uid, gid) to run it as.

    Raises `Unavailable` (`stack.failed`) when the supervisor cannot start the command.
    """
    ours, theirs = socket.socketpair()
    log.parent.mkdir(parents=True, exist_ok=True)
    prefix = [sys.executable, "-I", "-S", str(_SUPERVISE), end_signal.name, str(grace_s)]
    prefix.append("-" if ids is None else f"{ids[0]}:{ids[1]}")
    with theirs, log.open("ab") as output:
        supervisor = subprocess.Popen(
            [*prefix, *map(str, command)],
            stdin=theirs.fileno(),
            stdout=output,
            stderr=output,
            env=None if env is None else dict(env),
            cwd=cwd,
        )
    return Supervised(_read_pid(ours, supervisor, command, log), supervisor, ours, grace_s)


def _read_pid(
    ours: socket.socket,
    supervisor: "subprocess.Popen[bytes]",
    command: Sequence[str | Path],
    log: Path,
) -> int:
    ours.settimeout(_PID_WITHIN_S)
    line = b""
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while not line.endswith(b"\n"):
            received = ours.recv(32)
            if not received:
                break
            line += received
    ours.settimeout(None)
    if line.endswith(b"\n"):
        return int(line)
    ours.close()
    supervisor.wait(_PID_WITHIN_S)
    raise failed(
        f"{Path(command[0]).name} did not start",
        cause=tail(log, lines=1) or "its supervisor ended at once",
        fix=f"look into {log}",
    )


def tail(log: Path, *, lines: int = 20, max_bytes: int = 65_536) -> str:
    """The last lines of a log file, empty when there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - max_bytes))
        text = file.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-lines:])
