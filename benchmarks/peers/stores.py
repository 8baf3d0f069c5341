"""Where a peer keeps its events: a PostgreSQL server, a SQLite file or a UmaDB server, each its own and new.

`durable=False` takes fsync away, so that peers can be compared with a broker that does not fsync either:
what is answered then survives the death of every process, not the loss of power.
"""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers import environments
from benchmarks.peers.environments import NotAvailable
from services.embedded import postgres as embedded_postgres
from services.embedded import process
from services.embedded.launch import PORT_TAKEN, Remedy, Server, Sign, launch
from services.embedded.process import Supervised

_MEMORY = Path("/dev/shm")
"""A folder whose fsync costs nothing and whose files survive processes, not the machine."""
_READY_WITHIN_S = 20.0


@contextmanager
def postgres(folder: Path, *, durable: bool) -> Iterator[str]:
    """URL of FlexCore's embedded PostgreSQL (fsync and synchronous_commit as they are by default: on)."""
    server = embedded_postgres.start(folder, usual_port=None, durable=durable)
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def sqlite(folder: Path, *, durable: bool) -> Iterator[str]:
    """Path of a database that is still to be made."""
    with _folder(folder, durable=durable) as place:
        yield str(place / "events.db")


@contextmanager
def umadb(folder: Path, *, durable: bool) -> Iterator[str]:
    """URL of a UmaDB server with its default settings."""
    with _folder(folder, durable=durable) as place:

        def start_on(port: int) -> Supervised:
            listen = ["--listen", f"127.0.0.1:{port}", "--db-path", str(place / "uma.db")]
            return process.start([environments.program("umadb", "umadb"), *listen], log=log)

        log = folder / "umadb.log"
        taken = Sign("in use", *PORT_TAKEN, Remedy.OTHER_PORT)
        server = Server("UmaDB", log, start_on, _listens, (taken,), _READY_WITHIN_S)
        child, port = launch(server, port=None, usual_port=None)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            child.stop()


def _listens(_: Supervised, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _folder(folder: Path, *, durable: bool) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    if durable:
        yield folder
        return
    if not _MEMORY.is_dir():
        raise NotAvailable(f"without {_MEMORY} its fsync cannot be taken away")
    with tempfile.TemporaryDirectory(prefix="flexcore-peers-", dir=_MEMORY) as memory:
        yield Path(memory)
