"""Makes the AOT cache: `python -m services.embedded.aot_training`, started when a broker has stopped."""

import fcntl
import os
import shutil
import sys
import tempfile
from pathlib import Path

from services.embedded import jars, kafka, kafka_config, ports, process
from services.embedded.aot import AotCache
from services.embedded.errors import EmbeddedError

# Recording and writing take 6–10 s of one core; whatever takes longer than this is stuck.
_GRACE_S = 60.0
_NICENESS = 19


def train(cache: AotCache) -> bool:
    """Run a throw-away broker with recording on; True when the cache file is there afterwards."""
    with tempfile.TemporaryDirectory(prefix="flexcore-aot-") as work:
        folder, part = Path(work), cache.file.with_suffix(f".{os.getpid()}")
        port = ports.pick()
        properties = kafka_config.prepare(
            folder,
            port=port,
            controller_port=ports.pick(avoid=frozenset({port})),
            tuning=kafka_config.FOR_TESTS,
        )
        child = process.start(
            [
                cache.java,
                f"-XX:AOTCacheOutput={part}",
                *kafka_config.java_options(kafka_config.FOR_TESTS),
                "-cp",
                ":".join(map(str, cache.class_path)),
                "kafka.Kafka",
                properties,
            ],
            log=folder / "log",
            grace_s=_GRACE_S,
        )
        try:
            kafka.await_ready(child, port, folder / "log", 0)
        finally:
            # The JVM writes the cache while it ends.
            child.stop()
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
        except EmbeddedError as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            for rest in cache.file.parent.glob(f"*.{os.getpid()}*"):
                shutil.rmtree(rest) if rest.is_dir() else rest.unlink()


if __name__ == "__main__":
    sys.exit(main())
