"""Kafka's jars: downloaded once by a hashed list, then used without a network.

kafka.lock.json ──► local Maven repository? ──► mirror or Maven Central ──► sha256 ──► .cache/kafka/jars
"""

import hashlib
import json
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import stamina

from services.embedded.errors import EmbeddedError

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "kafka.lock.json"
CACHE = ROOT / ".cache" / "kafka"

# Eight threads fill a 100 Mbit/s line with files of this size; more made Maven Central slower, not faster.
_THREADS = 8
_CHUNK_BYTES = 262_144
_TIMEOUT_S = 60

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


def base_url(configured: str | None = None, *, home: Path | None = None) -> str:
    """Where jars come from: the setting, else a mirror in Maven's settings, else Maven Central."""
    if configured:
        return configured.rstrip("/")
    settings = (home or Path.home()) / ".m2" / "settings.xml"
    if settings.exists() and (mirror := _mirror(settings)):
        return mirror
    from jgo.constants import MAVEN_CENTRAL_URL

    return str(MAVEN_CENTRAL_URL).rstrip("/")


def _mirror(settings: Path) -> str | None:
    try:
        # The user's own file, with the user's own rights.
        tree = ET.parse(settings)  # noqa: S314
    except ET.ParseError as error:
        raise EmbeddedError(
            "Maven's settings cannot be read",
            cause=f"{settings}: {error}",
            fix="mend the file or set FLEXCORE__EMBEDDED__MAVEN_URL",
        ) from error
    for element in tree.iter():
        if element.tag.rpartition("}")[2] != "mirror":
            continue
        fields = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in element}
        of = {part.strip() for part in fields.get("mirrorOf", "").split(",")}
        if of & {"*", "central", "external:*"} and fields.get("blocked") != "true":
            return fields.get("url", "").rstrip("/") or None
    return None


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
    that takes every advance in bytes. Raises `EmbeddedError`.
    """
    folder = folder or CACHE / "jars"
    jars = read_lock(lock)
    missing = [jar for jar in jars if not _present(folder / jar.name, jar)]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        advance = on_start(sum(jar.size for jar in missing)) if on_start else lambda _: None
        _fetch_all(missing, folder, _Source(base_url(maven_url, home=home), home), advance)
    return tuple(folder / jar.name for jar in jars)


def _present(path: Path, jar: Jar) -> bool:
    # A file gets its name only after its hash was right, so the size is enough from then on.
    return path.exists() and path.stat().st_size == jar.size


@dataclass(frozen=True, slots=True)
class _Source:
    url: str
    home: Path | None

    def local(self, jar: Jar) -> Path:
        return (self.home or Path.home()) / ".m2" / "repository" / jar.path


def _fetch_all(jars: Sequence[Jar], folder: Path, source: _Source, advance: Advance) -> None:
    context = ssl.create_default_context()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="jars") as pool:
        running = [pool.submit(_fetch, jar, folder, source, context, advance) for jar in jars]
        try:
            for future in running:
                future.result()
        except OSError as error:
            pool.shutdown(cancel_futures=True)
            raise EmbeddedError(
                "Kafka could not be downloaded",
                cause=str(error),
                fix="check the network, or name a Maven repository in FLEXCORE__EMBEDDED__MAVEN_URL, "
                "or use a running Kafka by FLEXCORE__KAFKA__BOOTSTRAP",
            ) from error


def _fetch(
    jar: Jar, folder: Path, source: _Source, context: ssl.SSLContext, advance: Advance
) -> None:
    local = source.local(jar)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        part = Path(work) / jar.name
        if local.exists() and _sha256(local) == jar.sha256:
            shutil.copyfile(local, part)
            advance(jar.size)
        else:
            _download(f"{source.url}/{jar.path}", part, jar, context, advance)
        part.replace(folder / jar.name)


@stamina.retry(on=(urllib.error.URLError, TimeoutError, ConnectionError), attempts=4, wait_max=2)
def _download(url: str, part: Path, jar: Jar, context: ssl.SSLContext, advance: Advance) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "flexcore"})  # noqa: S310
    digest, received = hashlib.sha256(), 0
    with (
        urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=context) as answer,  # noqa: S310
        part.open("wb") as file,
    ):
        while chunk := answer.read(_CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            received += len(chunk)
    if digest.hexdigest() != jar.sha256:
        raise OSError(f"{jar.name} has the wrong sha256; the repository served something else")
    advance(received)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
