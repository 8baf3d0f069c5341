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
import time
from dataclasses import dataclass, field
from pathlib import Path

from services.embedded import ports, postgres_place, process
from services.embedded.errors import EmbeddedError, FolderInUse, PortTaken
from services.embedded.postgres_place import Place

USUAL_PORT = 5432
ADMIN = "flexcore_admin"
ROLES = ("flexcore", "flexcore_data")
_READY_WITHIN_S = 30.0
_POLL_S = 0.01
# A server that was killed with its parent has 10 s to stop.
_PREDECESSOR_S = 13.0
_PORT_ATTEMPTS = 4

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

    `folder` keeps data and passwords. `durable=False` (tests) leaves out fsync. Raises `EmbeddedError`.
    """
    folder = folder.resolve()
    log = log or folder / "postgres.log"
    place = postgres_place.find(folder)
    password = _password(folder, ADMIN)
    if not (place.cluster / "PG_VERSION").exists():
        _initialise(place, password)
    child, chosen = _launch(place, port, usual_port, durable, log)
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
        part = path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
        part.replace(path)
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
        raise EmbeddedError(
            "the embedded PostgreSQL could not be set up",
            cause=made.stderr.strip().splitlines()[-1] if made.stderr.strip() else "initdb failed",
            fix=f"check that {parent} is writable and the disk has room",
        )


def _launch(
    place: Place, port: int | None, usual_port: int | None, durable: bool, log: Path
) -> tuple[process.Supervised, int]:
    deadline = time.monotonic() + _PREDECESSOR_S
    tries = 0
    while True:
        chosen = port or ports.pick(usual_port if tries == 0 else None)
        try:
            return _launch_once(place, chosen, durable, log), chosen
        except PortTaken:
            tries += 1
            if port is not None or tries == _PORT_ATTEMPTS:
                raise
        except FolderInUse:
            if time.monotonic() > deadline:
                raise


def _launch_once(place: Place, port: int, durable: bool, log: Path) -> process.Supervised:
    settings = {**_SETTINGS, "port": str(port)}
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off"}
    begins = log.stat().st_size if log.exists() else 0
    child = process.start(
        [
            place.binaries / "postgres",
            "-D",
            place.cluster,
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        ],
        log=log,
        end_signal=signal.SIGINT,
        ids=place.ids,
        cwd=place.cluster,
    )
    try:
        _await_ready(child, place.cluster, log, begins)
    except BaseException:
        child.stop()
        raise
    return child


def _await_ready(child: process.Supervised, cluster: Path, log: Path, begins: int) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        if (code := child.poll()) is not None:
            raise _translated(log, begins, f"it ended with exit code {code}")
        if _says_ready(cluster / "postmaster.pid", child.pid):
            return
        time.sleep(_POLL_S)
    raise _translated(log, begins, f"it did not serve within {_READY_WITHIN_S:.0f} s")


def _says_ready(pid_file: Path, pid: int) -> bool:
    try:
        lines = pid_file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return False
    # The first line is the server's pid, the eighth its state.
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _translated(log: Path, begins: int, otherwise: str) -> EmbeddedError:
    with log.open("rb") as file:
        file.seek(begins)
        said = file.read().decode("utf-8", "replace")
    what = "the embedded PostgreSQL did not start"
    if "could not bind" in said or "Address already in use" in said:
        return PortTaken(
            what, cause="another process took its port", fix="start again, a free port will be used"
        )
    if 'lock file "postmaster.pid" already exists' in said or "pre-existing shared memory" in said:
        return FolderInUse(
            what,
            cause="another PostgreSQL uses its data folder",
            fix="stop it (flexcore stop), or choose another --data-dir",
        )
    return EmbeddedError(what, cause=otherwise, fix=f"look into {log}")


def _provide_roles(folder: Path, place: Place, admin_url: str, port: int) -> dict[str, str]:
    """URL per role; on the first start the roles and their databases are made."""
    done = place.cluster.with_name("roles-made")
    passwords = {role: _password(folder, role) for role in ROLES}
    if not done.exists():
        from services.embedded.postgres_roles import make_roles

        make_roles(admin_url, passwords)
        done.touch()
    return {role: _url(role, passwords[role], port, role) for role in ROLES}
