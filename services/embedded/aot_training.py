"""Makes the AOT cache: `python -m services.embedded.aot_training`, started when a broker has stopped."""

import fcntl
import os
import shutil
import sys
import tempfile
from pathlib import Path

from domain.errors import Unavailable
from services.embedded import jars, kafka
from services.embedded.aot import AotCache
from services.embedded.kafka_config import FOR_TESTS
from services.embedded.launch import launch

# Recording and writing take 6–10 s of one core; whatever takes longer than this is stuck.
_GRACE_S = 60.0
_NICENESS = 19


def train(cache: AotCache) -> bool:
    """Run a throw-away broker with recording on; True when the cache file is there afterwards."""
    with tempfile.TemporaryDirectory(prefix="flexcore-aot-") as work:
        folder, part = Path(work), cache.file.with_suffix(f".{os.getpid()}")
        recording = [f"-XX:AOTCacheOutput={part}"]
        server = kafka.describe(
            folder, cache, recording, tuning=FOR_TESTS, log=folder / "log", grace_s=_GRACE_S
        )
        child, _ = launch(server, port=None, usual_port=None)
        child.stop()  # the JVM writes the cache while it ends
        if not part.exists():
            return False
        part.replace(cache.file)
    return True


def main() -> int:
    """Exit code 0 when the cache exists at the end, whoever made it."""
    os.nice(_NICENESS)
    cache = AotCache.of(jars.ensure())
    with (cache.file.parent / "aot.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0  # another one is at it
        if cache.file.exists():
            return 0
        try:
            return 0 if train(cache) else 1
        except Unavailable as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            for rest in cache.file.parent.glob(f"*.{os.getpid()}*"):
                shutil.rmtree(rest) if rest.is_dir() else rest.unlink()


if __name__ == "__main__":
    sys.exit(main())
