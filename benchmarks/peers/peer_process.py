"""A peer's process, run by its own environment's Python and asked for one run at a time (see serving.py)."""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from benchmarks.peers import environments, stores
from benchmarks.peers.environments import NotAvailable
from benchmarks.peers.measured import Failed, Measured

_READY_WITHIN_S = 180.0
"""Filling is 4,500 commands; the slowest peer did 480 a second on two busy cores."""
_ANSWER_WITHIN_S = 120.0

FSYNC = "B: survives power loss"
NO_FSYNC = "A: survives process death"


class _Store(Protocol):
    def __call__(self, folder: Path, *, durable: bool) -> AbstractContextManager[str]: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """What to run: the folder beside this file, the store it is given, and when that store answers."""

    name: str
    folder: str
    store: _Store
    default: str


PEERS = (
    Peer("umadb", "umadb", stores.umadb, "fdatasync before each group of appends is answered"),
    Peer(
        "eventsourcing-postgres",
        "eventsourcing",
        stores.postgres,
        "fsync of the write-ahead log at each commit",
    ),
    Peer(
        "eventsourcing-sqlite",
        "eventsourcing",
        stores.sqlite,
        "write-ahead log, synchronous=FULL: fsync at each commit",
    ),
    Peer(
        "eventsource-py-postgres",
        "eventsource_py",
        stores.postgres,
        "fsync of the write-ahead log at each commit",
    ),
    Peer(
        "eventsource-py-sqlite",
        "eventsource_py",
        stores.sqlite,
        "write-ahead log, synchronous=FULL: fsync at each commit",
    ),
)


@contextmanager
def started(peer: Peer, folder: Path, *, durable: bool) -> Iterator["PeerProcess"]:
    """The peer over a new store in `folder`, filled and ready. Raises `NotAvailable`."""
    python = environments.ensure(peer.folder)
    with peer.store(folder, durable=durable) as store, (folder / "peer.log").open("w+") as log:
        script = environments.HERE / peer.folder / "run.py"
        process = subprocess.Popen(
            [str(python), "-P", str(script)],
            env=_environment(store),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        durability = f"{FSYNC} ({peer.default})" if durable else f"{NO_FSYNC} (no fsync)"
        running = PeerProcess(peer.name, durability, process, log)
        try:
            running.greet()
            yield running
        finally:
            process.kill()
            process.communicate()


def _environment(store: str) -> dict[str, str]:
    # In the environment, for a URL holds a password; without ours, for the peer has its own packages.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"PEER_STORE": store, "PYTHONPATH": str(environments.ROOT)}


@dataclass(slots=True)
class PeerProcess:
    """A contestant that answers line by line."""

    name: str
    durability: str
    _process: "subprocess.Popen[str]" = field(repr=False)
    _log: IO[str] = field(repr=False)
    client: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def greet(self) -> None:
        """Wait for its first line. Raises `NotAvailable`."""
        ready = self._read(_READY_WITHIN_S, NotAvailable)
        self.client, self.versions = ready["client"], ready["versions"]

    def run(self, in_flight: int, seconds: float) -> Measured | Failed:
        """One run; a peer that ended or says nothing fails this run and all later ones."""
        try:
            self._ask({"in_flight": in_flight, "seconds": seconds})
            answer = self._read(seconds + _ANSWER_WITHIN_S, _NoAnswer)
        except (BrokenPipeError, _NoAnswer) as error:
            return Failed(str(error))
        if "error" in answer:
            return Failed(answer["error"])
        return Measured(answer["rate_per_s"], answer["p50_ms"], answer["p99_ms"])

    def _ask(self, request: dict[str, float]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _read(self, within_s: float, error: Callable[[str], Exception]) -> dict[str, Any]:
        assert self._process.stdout is not None
        # Ended from outside, for a read of a pipe has no time-out.
        alarm = threading.Timer(within_s, self._process.kill)
        alarm.start()
        line = self._process.stdout.readline()
        alarm.cancel()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self._log.seek(0)
        said = self._log.read().strip().splitlines()
        raise error(said[-1] if said else f"it gave no answer within {within_s:.0f} s")


class _NoAnswer(Exception):
    pass
