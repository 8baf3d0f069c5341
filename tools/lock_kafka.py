"""Regenerates kafka.lock.json: `PYTHONPATH=. .venv/bin/python tools/lock_kafka.py 4.4.0`.

jgo resolves the closure of Kafka's broker; what a broker without OAuth and file configs never loads is
left out. Afterwards run the tests marked `kafka`: they start the broker with exactly these jars.
"""

import hashlib
import json
import sys
import urllib.request
from pathlib import Path

import jgo
from jgo.maven import Artifact

from services.embedded.download import Source

LOCK = Path(__file__).resolve().parents[1] / "kafka.lock.json"
# The last of the 1.7 line, which Kafka is built against.
LOGGER = "org.slf4j:slf4j-simple:1.7.36"

# A broker starts, runs transactions and stops without them; together they are a fifth of the bytes.
UNUSED = frozenset(
    {
        "caffeine",
        "commons-beanutils",
        "commons-collections",
        "commons-digester",
        "commons-logging",
        "jackson-dataformat-yaml",
        "jackson-datatype-jdk8",
        "jose4j",
        "jspecify",
        "log4j-core",
        "scala-reflect",
        "snakeyaml",
    }
)


def entry(artifact: Artifact) -> dict[str, str | int]:
    """The lock's line for one jar, downloaded now; its repository's own checksum has to agree."""
    folder = f"{artifact.groupId.replace('.', '/')}/{artifact.artifactId}/{artifact.version}"
    path = f"{folder}/{artifact.filename}"
    jar = artifact.resolve().read_bytes()
    # jgo itself only warns about a wrong checksum.
    if hashlib.sha1(jar, usedforsecurity=False).hexdigest() != published_sha1(path):
        raise SystemExit(f"{artifact.filename} is not what its repository says it is")
    return {"path": path, "sha256": hashlib.sha256(jar).hexdigest(), "size": len(jar)}


def published_sha1(path: str) -> str:
    """What the Maven repository says about a file."""
    with urllib.request.urlopen(f"{Source.of().url}/{path}.sha1", timeout=60) as answer:  # noqa: S310
        return str(answer.read().decode().split()[0])


def main(version: str) -> None:
    """Resolve, download and write the lock."""
    artifacts = jgo.resolve(f"org.apache.kafka:kafka_2.13:{version}+{LOGGER}")
    needed = [artifact for artifact in artifacts if artifact.artifactId not in UNUSED]
    entries = sorted(map(entry, needed), key=lambda found: found["path"])
    LOCK.write_text(json.dumps(entries, indent=2) + "\n", "utf-8")
    total = sum(int(found["size"]) for found in entries)
    print(f"{len(entries)} jars, {total / 1e6:.0f} MB", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
