"""PostgreSQL as a child process: the wheel's binaries, our own cluster, SCRAM on loopback.

role flexcore       ─ owns database flexcore       (read models, checkpoints)
role flexcore_data  ─ owns database flexcore_data  (what pipelines write); cannot reach flexcore
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from services.embedded import postgres_place, process
from services.embedded.errors import failed
from services.embedded.launch import (
    FOLDER_IN_USE,
    NO_ROOM,
    PORT_TAKEN,
    Remedy,
    Server,
    Sign,
    launch,
)
from services.embedded.postgres_place import Place
from services.private_file import write_private

USUAL_PORT = 5432
ADMIN = "flexcore_admin"
ROLES = ("flexcore", "flexcore_data")
_READY_WITHIN_S = 60.0

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "password_encryption": "scram-sha-256",
    # Nobody replicates an embedded server; bulk loads of rebuilt tables then skip the write-ahead log.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}

_SIGNS = (
    Sign("could not bind", *PORT_TAKEN, Remedy.OTHER_PORT),
    Sign('lock file "postmaster.pid" already exists', *FOLDER_IN_USE, Remedy.WAIT),
    Sign("pre-existing shared memory", *FOLDER_IN_USE, Remedy.WAIT),
    Sign("No space left on device", *NO_ROOM),
)


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running server; the URLs hold passwords and belong into no log."""

    url: str = field(repr=False)
    data_url: str = field(repr=False)
    admin_url: str = field(repr=False)
    port: int
    pid: int
    _process: process.Supervised = field(repr=False)

    def poll(self) -> int | None:
        """Exit code once the server has ended, else None."""
        return self._process.poll()

    def wait(self) -> int:
        """Exit code, once the server has ended."""
        return self._process.wait()

    def stop(self) -> None:
        """Fast shutdown (SIGINT), 10 s, SIGKILL; may be called again."""
        self._process.stop()


def start(
    folder: Path,
    *,
    port: int | None = None,
    usual_port: int | None = USUAL_PORT,
    durable: bool = True,
    log: Path | None = None,
) -> EmbeddedPostgres:
    """Start the server on `port`, or on the usual one or a free one, and wait until it serves.

    `folder` keeps data and passwords. `durable=False` (tests) leaves out fsync. Raises `Unavailable` (`stack.failed`).
    """
    folder = folder.resolve()
    log = log or folder / "postgres.log"
    place = postgres_place.find(folder)
    password = _password(folder, ADMIN)
    if not (place.cluster / "PG_VERSION").exists():
        _initialise(place, password)
    child, chosen = launch(_describe(place, durable, log), port=port, usual_port=usual_port)
    try:
        admin_url = _url(ADMIN, password, chosen, "postgres")
        urls = _provide_roles(folder, place, admin_url, chosen)
    except BaseException:
        child.stop()
        raise
    return EmbeddedPostgres(
        urls["flexcore"], urls["flexcore_data"], admin_url, chosen, child.pid, child
    )


def _password(folder: Path, role: str) -> str:
    path = folder / f"{role}.password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text("utf-8")


def _url(role: str, password: str, port: int, database: str) -> str:
    return f"postgresql://{role}:{password}@127.0.0.1:{port}/{database}"


def _initialise(place: Place, password: str) -> None:
    parent = place.cluster.parent
    parent.mkdir(parents=True, exist_ok=True)
    # Made beside the final name: an interrupted initdb leaves nothing that looks like a cluster.
    work = Path(tempfile.mkdtemp(prefix="cluster-", dir=parent))
    secret = work / "password"
    secret.touch(0o600)
    secret.write_text(password, "utf-8")
    if place.ids:
        os.chown(work, *place.ids)
        os.chown(secret, *place.ids)
    uid, gid = place.ids or (None, None)
    made = subprocess.run(
        [
            place.binaries / "initdb",
            f"--pgdata={work / 'data'}",
            f"--username={ADMIN}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-instructions",
            "--no-sync",
        ],
        capture_output=True,
        text=True,
        cwd=work,
        user=uid,
        group=gid,
        extra_groups=[] if place.ids else None,
    )
    if made.returncode == 0:
        (work / "data").rename(place.cluster)
    shutil.rmtree(work)
    if made.returncode != 0:
        raise failed(
            "the embedded PostgreSQL could not be set up",
            cause=made.stderr.strip().splitlines()[-1] if made.stderr.strip() else "initdb failed",
            fix=f"check that {parent} is writable and the disk has room",
        )


def _describe(place: Place, durable: bool, log: Path) -> Server:
    def start_on(port: int) -> process.Supervised:
        settings = {**_SETTINGS, "port": str(port), **({} if durable else _NOT_DURABLE)}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return process.start(
            [place.binaries / "postgres", "-D", place.cluster, *flags],
            log=log,
            end_signal=signal.SIGINT,
            ids=place.ids,
            cwd=place.cluster,
        )

    def serves(child: process.Supervised, _: int) -> bool:
        return _says_ready(place.cluster / "postmaster.pid", child.pid)

    return Server("the embedded PostgreSQL", log, start_on, serves, _SIGNS, _READY_WITHIN_S)


def _says_ready(pid_file: Path, pid: int) -> bool:
    try:
        lines = pid_file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return False
    # The first line is the server's pid, the eighth its state.
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _provide_roles(folder: Path, place: Place, admin_url: str, port: int) -> dict[str, str]:
    """URL per role; on the first start the roles and their databases are made."""
    done = place.cluster.with_name("roles-made")
    passwords = {role: _password(folder, role) for role in ROLES}
    if not done.exists():
        from services.embedded.postgres_roles import make_roles

        make_roles(admin_url, passwords)
        done.touch()
    return {role: _url(role, passwords[role], port, role) for role in ROLES}
