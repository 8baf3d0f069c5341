"""Starting a server: pick a port, start, wait until it serves; cope with a lost port and a slow predecessor.

pick port ─► start ─► serves ─────────────────────────► running
               └────► ended: its log says why ─┬─ port taken    ─► another port, 4 times
                                               ├─ folder in use ─► again, until the predecessor must be gone
                                               └─ anything else ─► error with cause and fix
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from domain.errors import Unavailable
from services.embedded import ports
from services.embedded.errors import failed
from services.embedded.process import Supervised

_POLL_S = 0.02
_PORT_ATTEMPTS = 4
# A server whose parent was killed has 10 s to stop, so a successor waits a little longer.
_PREDECESSOR_S = 13.0


class Remedy(Enum):
    """What helps against a failed start."""

    OTHER_PORT = auto()
    WAIT = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Sign:
    """A text in the log of a server that ended, and what it means."""

    text: str
    cause: str
    fix: str
    remedy: Remedy = Remedy.NONE


PORT_TAKEN = ("another process took its port", "start again, a free port will be used")
FOLDER_IN_USE = (
    "another one uses its data folder",
    "stop it (flexcore stop), or choose another --data-dir",
)

NO_ROOM = (
    "the disk of its data folder is full",
    "free some space, or choose another --data-dir",
)


@dataclass(frozen=True, slots=True)
class Server:
    """What differs between one server and the next."""

    name: str
    log: Path
    start: Callable[[int], Supervised]
    serves: Callable[[Supervised, int], bool]
    signs: Sequence[Sign]
    ready_within_s: float


class _Ended(Exception):
    def __init__(self, sign: Sign) -> None:
        super().__init__(sign.cause)
        self.sign = sign


def launch(server: Server, *, port: int | None, usual_port: int | None) -> tuple[Supervised, int]:
    """The running child and its port: `port`, else the usual one, else a free one.

    Raises `Unavailable` (`stack.failed`).
    """
    patience = time.monotonic() + _PREDECESSOR_S
    lost_ports = 0
    while True:
        chosen = port or ports.pick(usual_port if not lost_ports else None)
        try:
            return launch_once(server, chosen), chosen
        except _Ended as ended:
            remedy = ended.sign.remedy
            if remedy is Remedy.OTHER_PORT and port is None and lost_ports < _PORT_ATTEMPTS:
                lost_ports += 1
            elif remedy is not Remedy.WAIT or time.monotonic() > patience:
                raise _error(server, ended.sign) from None


def launch_once(server: Server, port: int) -> Supervised:
    """Start on this port and wait until it serves; a child that does not is stopped."""
    begins = server.log.stat().st_size if server.log.exists() else 0
    child = server.start(port)
    try:
        _await_ready(server, child, port, begins)
    except BaseException:
        child.stop()
        raise
    return child


def _await_ready(server: Server, child: Supervised, port: int, begins: int) -> None:
    deadline = time.monotonic() + server.ready_within_s
    while time.monotonic() < deadline:
        if (code := child.poll()) is not None:
            raise _Ended(_read_sign(server, begins, f"it ended with exit code {code}"))
        if server.serves(child, port):
            return
        time.sleep(_POLL_S)
    raise _Ended(
        _read_sign(server, begins, f"it did not serve within {server.ready_within_s:.0f} s")
    )


def _read_sign(server: Server, begins: int, otherwise: str) -> Sign:
    with server.log.open("rb") as file:
        file.seek(begins)
        said = file.read().decode("utf-8", "replace")
    for sign in server.signs:
        if sign.text in said:
            return sign
    return Sign("", otherwise, f"look into {server.log}")


def _error(server: Server, sign: Sign) -> Unavailable:
    return failed(f"{server.name} did not start", cause=sign.cause, fix=sign.fix)
