"""Kafka's jars: checked, in one piece, from where the user says, and only once."""

import hashlib
import json
from pathlib import Path

import pytest

from domain.errors import Unavailable
from services.embedded import jars
from services.embedded.download import Source

CONTENT = b"a jar"
PATH = "org/apache/kafka/tiny/1.0/tiny-1.0.jar"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock of one tiny jar."""
    path = tmp_path / "kafka.lock.json"
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    path.write_text(json.dumps([{"path": PATH, "sha256": sha256, "size": len(CONTENT)}]))
    return path


def repository(folder: Path, content: bytes = CONTENT) -> Path:
    """A Maven repository that holds the jar."""
    (folder / PATH).parent.mkdir(parents=True)
    (folder / PATH).write_bytes(content)
    return folder


def maven_settings(home: Path, *mirrors: str) -> None:
    """Maven's settings.xml with these mirrors."""
    (home / ".m2").mkdir(parents=True)
    text = '<settings xmlns="urn:maven"><mirrors>' + "".join(mirrors) + "</mirrors></settings>"
    (home / ".m2" / "settings.xml").write_text(text)


def mirror(url: str, of: str, more: str = "") -> str:
    """One mirror element."""
    return f"<mirror><id>m</id><url>{url}</url><mirrorOf>{of}</mirrorOf>{more}</mirror>"


def test_a_missing_jar_is_downloaded_with_progress(tmp_path: Path, lock: Path) -> None:
    remote, seen = repository(tmp_path / "remote"), []

    def on_start(total_bytes: int) -> jars.Advance:
        seen.append(total_bytes)
        return seen.append

    (path,) = jars.ensure(
        maven_url=remote.as_uri(),
        folder=tmp_path / "jars",
        lock=lock,
        on_start=on_start,
        home=tmp_path,
    )

    assert path.read_bytes() == CONTENT
    assert seen == [len(CONTENT), len(CONTENT)]


def test_a_second_run_needs_no_network(tmp_path: Path, lock: Path) -> None:
    remote, folder = repository(tmp_path / "remote"), tmp_path / "jars"
    jars.ensure(maven_url=remote.as_uri(), folder=folder, lock=lock, home=tmp_path)

    nowhere = (tmp_path / "nowhere").as_uri()
    (path,) = jars.ensure(maven_url=nowhere, folder=folder, lock=lock, home=tmp_path)

    assert path.read_bytes() == CONTENT


def test_a_jar_with_another_hash_is_refused_and_not_kept(tmp_path: Path, lock: Path) -> None:
    remote, folder = repository(tmp_path / "remote", b"a bar"), tmp_path / "jars"

    with pytest.raises(Unavailable, match=r"tiny-1.0.jar has the wrong sha256"):
        jars.ensure(maven_url=remote.as_uri(), folder=folder, lock=lock, home=tmp_path)

    assert list(folder.iterdir()) == []


def test_the_local_maven_repository_is_asked_first(tmp_path: Path, lock: Path) -> None:
    repository(tmp_path / "home" / ".m2" / "repository")

    (path,) = jars.ensure(
        maven_url=(tmp_path / "nowhere").as_uri(),
        folder=tmp_path / "jars",
        lock=lock,
        home=tmp_path / "home",
    )

    assert path.read_bytes() == CONTENT


def test_a_wrong_jar_in_the_local_repository_is_passed_over(tmp_path: Path, lock: Path) -> None:
    repository(tmp_path / "home" / ".m2" / "repository", b"wrong")
    remote = repository(tmp_path / "remote")

    (path,) = jars.ensure(
        maven_url=remote.as_uri(), folder=tmp_path / "jars", lock=lock, home=tmp_path / "home"
    )

    assert path.read_bytes() == CONTENT


def test_the_setting_wins_over_a_mirror_and_a_mirror_over_maven_central(tmp_path: Path) -> None:
    maven_settings(tmp_path, mirror("https://mirror.test/maven/", "central"))

    assert Source.of("https://own.test/", home=tmp_path).url == "https://own.test"
    assert Source.of(home=tmp_path).url == "https://mirror.test/maven"
    assert Source.of(home=tmp_path / "without").url not in ("", "https://mirror.test/maven")


def test_mirrors_of_other_repositories_and_blocked_ones_do_not_count(tmp_path: Path) -> None:
    maven_settings(
        tmp_path,
        mirror("https://other.test", "jboss"),
        mirror("https://blocked.test", "*", "<blocked>true</blocked>"),
        mirror("https://right.test", "jboss, external:*"),
    )

    assert Source.of(home=tmp_path).url == "https://right.test"


def test_broken_maven_settings_are_named(tmp_path: Path) -> None:
    maven_settings(tmp_path, "<mirror>")

    with pytest.raises(Unavailable, match=r"settings\.xml"):
        Source.of(home=tmp_path)


def test_the_committed_lock_holds_kafka_and_names_no_host() -> None:
    locked = jars.read_lock()

    assert any(jar.name.startswith("kafka_2.13-4.4") for jar in locked)
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in locked)
    assert "://" not in jars.LOCK.read_text()


def test_without_a_network_the_first_run_says_so_once(
    tmp_path: Path,
    lock: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(Unavailable) as refused:
        jars.ensure(
            maven_url="https://maven.example", folder=tmp_path / "jars", lock=lock, home=tmp_path
        )

    assert refused.value.fields["what"] == "Kafka could not be downloaded"
    cause = str(refused.value.fields["cause"])
    assert cause.startswith("https://maven.example: ")
    assert "Connection refused" in cause
    assert "FLEXCORE__EMBEDDED__MAVEN_URL" in str(refused.value.fields["fix"])
    # Not a line for each attempt at each of a hundred jars.
    assert capfd.readouterr() == ("", "")
