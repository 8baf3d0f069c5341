"""Fetching jars: from the local Maven repository or by HTTPS, checked, and in place in one step."""

import hashlib
import http.client
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import stamina

from services.embedded.errors import failed
from services.embedded.jars import Advance, Jar

# Eight threads fill a 100 Mbit/s line with files of this size.
_THREADS = 8
_CHUNK_BYTES = 262_144
_TIMEOUT_S = 60
_WORTH_A_RETRY = (
    urllib.error.URLError,
    http.client.HTTPException,
    TimeoutError,
    ConnectionError,
)


@dataclass(frozen=True, slots=True)
class Source:
    """A Maven repository and the local one that is asked before it."""

    url: str
    local: Path

    @classmethod
    def of(cls, configured: str | None = None, *, home: Path | None = None) -> "Source":
        """The configured repository, else a mirror from Maven's settings, else Maven Central."""
        maven = (home or Path.home()) / ".m2"
        return cls(_base_url(configured, maven / "settings.xml"), maven / "repository")


def _base_url(configured: str | None, settings: Path) -> str:
    if configured:
        return configured.rstrip("/")
    if settings.exists() and (mirror := _mirror(settings)):
        return mirror
    from jgo.constants import MAVEN_CENTRAL_URL

    return str(MAVEN_CENTRAL_URL).rstrip("/")


def _mirror(settings: Path) -> str | None:
    try:
        # The user's own file, with the user's own rights.
        tree = ET.parse(settings)  # noqa: S314
    except ET.ParseError as error:
        raise failed(
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


def fetch_all(jars: Sequence[Jar], folder: Path, source: Source, advance: Advance) -> None:
    """Put every jar into the folder, its sha256 checked. Raises `Unavailable` (`stack.failed`)."""
    context = ssl.create_default_context()
    # It would print each attempt for each of a hundred files, to people who asked for none of them.
    stamina.instrumentation.set_on_retry_hooks([])
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="jars") as pool:
        running = [pool.submit(_fetch, jar, folder, source, context, advance) for jar in jars]
        try:
            for future in running:
                future.result()
        except (OSError, http.client.HTTPException) as error:
            pool.shutdown(cancel_futures=True)
            raise failed(
                "Kafka could not be downloaded",
                cause=f"{source.url}: {getattr(error, 'reason', error)}",
                fix="check the network, or name a Maven repository in FLEXCORE__EMBEDDED__MAVEN_URL, "
                "or use a running Kafka by FLEXCORE__KAFKA__BOOTSTRAP",
            ) from error


def _fetch(
    jar: Jar, folder: Path, source: Source, context: ssl.SSLContext, advance: Advance
) -> None:
    local = source.local / jar.path
    with tempfile.TemporaryDirectory(dir=folder) as work:
        part = Path(work) / jar.name
        if local.exists() and _sha256(local) == jar.sha256:
            shutil.copyfile(local, part)
            advance(jar.size)
        else:
            _download(f"{source.url}/{jar.path}", part, jar, context, advance)
        part.replace(folder / jar.name)


@stamina.retry(on=_WORTH_A_RETRY, attempts=4, wait_max=2)
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
    if received != jar.size:
        raise ConnectionError(f"{jar.name} came with {received} bytes, {jar.size} are locked")
    if digest.hexdigest() != jar.sha256:
        raise OSError(f"{jar.name} has the wrong sha256; the repository served something else")
    advance(received)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
