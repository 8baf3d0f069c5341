"""Kafka's jars: downloaded once by a hashed list, then used without a network.

kafka.lock.json ──► local Maven repository? ──► mirror or Maven Central ──► sha256 ──► cache folder
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.installation import ROOT, SHIPPED, cache_folder

__all__ = ["CACHE", "LOCK", "ROOT", "Jar", "ensure", "read_lock"]

LOCK = SHIPPED / "kafka.lock.json"
CACHE = cache_folder() / "kafka"

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: where it lies in a Maven repository, its sha256 and its size in bytes."""

    path: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """File name, which holds the version."""
        return self.path.rsplit("/", 1)[-1]


def read_lock(lock: Path = LOCK) -> tuple[Jar, ...]:
    """The locked jars, in class-path order."""
    return tuple(Jar(**entry) for entry in json.loads(lock.read_text("utf-8")))


def ensure(
    *,
    maven_url: str | None = None,
    folder: Path | None = None,
    lock: Path = LOCK,
    on_start: Callable[[int], Advance] | None = None,
    home: Path | None = None,
) -> tuple[Path, ...]:
    """The class path, downloading what is missing.

    `on_start(total bytes)` is called only when something has to be fetched and returns the function
    that takes every advance in bytes. Raises `Unavailable` (`stack.failed`).
    """
    folder = folder or CACHE / "jars"
    jars = read_lock(lock)
    missing = [jar for jar in jars if not _present(folder / jar.name, jar)]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        advance = on_start(sum(jar.size for jar in missing)) if on_start else lambda _: None
        # Imported only when something is missing: TLS and retries cost 0.1 s of every start.
        from services.embedded.download import Source, fetch_all

        fetch_all(missing, folder, Source.of(maven_url, home=home), advance)
    return tuple(folder / jar.name for jar in jars)


def _present(path: Path, jar: Jar) -> bool:
    # A file gets its name only after its hash was right, so the size is enough from then on.
    return path.exists() and path.stat().st_size == jar.size
