"""A peer's own environment: made from its lock file by uv, under .cache/peers of the clone.

benchmarks/peers/<name>/requirements.lock ─► .cache/peers/<name>/bin/python (made again when the lock changes)

`installed` does the same for any other lock, such as that of the documentation's site.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "peers"
HERE = Path(__file__).parent
_STAMP = "requirements.sha256"
_SETTINGS = {
    # As in ./flexcore: the machine's own certificates, no other Python than ours.
    "UV_SYSTEM_CERTS": "true",
    "UV_PYTHON_DOWNLOADS": "never",
}


class NotAvailable(Exception):
    """A peer cannot run here; the text says why."""


def ensure(name: str) -> Path:
    """The environment's Python. Raises `NotAvailable` where it cannot be installed."""
    installed(HERE / name / "requirements.lock", CACHE / name)
    return program(name, "python")


def installed(lock: Path, environment: Path) -> Path:
    """The folder of an environment's programs. Raises `NotAvailable` where it cannot be installed."""
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = environment / _STAMP
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        _uv("venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, environment)
        _uv("pip", "sync", "--quiet", "--require-hashes", lock, environment=environment)
        stamp.write_text(wanted, "utf-8")
    return _programs(environment)


def program(name: str, program: str) -> Path:
    """A program of the environment."""
    return _programs(CACHE / name) / program


def _programs(environment: Path) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin")


def _uv(*arguments: str | Path, environment: Path | None = None) -> None:
    ours = ROOT / ".boot" / "bin" / "uv"
    uv = str(ours) if ours.exists() else shutil.which("uv")
    if uv is None:
        raise NotAvailable("uv is missing; run ./flexcore --help once, it installs it")
    settings = {"VIRTUAL_ENV": str(environment)} if environment else {}
    done = subprocess.run(
        [uv, *arguments],
        env=os.environ | _SETTINGS | settings,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.split())
        raise NotAvailable(f"its environment could not be installed: {said}")
