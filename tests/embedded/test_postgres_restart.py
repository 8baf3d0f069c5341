"""The embedded PostgreSQL keeps its rows, and its two roles apart."""

import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from services.embedded import postgres, postgres_place
from services.embedded.postgres import EmbeddedPostgres

pytestmark = pytest.mark.postgres


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's account can reach."""
    path = Path(tempfile.mkdtemp(prefix="flexcore-postgres-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def start(folder: Path) -> EmbeddedPostgres:
    return postgres.start(folder, usual_port=None)


def test_rows_survive_a_stop_and_a_kill(folder: Path) -> None:
    server = start(folder)
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (said text)")
            connection.execute("INSERT INTO kept VALUES ('before the stop')")
        server.stop()

        server = start(folder)
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("INSERT INTO kept VALUES ('before the kill')")
        os.kill(server.pid, signal.SIGKILL)
        assert server.wait() == 128 + signal.SIGKILL

        server = start(folder)
        with psycopg.connect(server.url) as connection:
            rows = connection.execute("SELECT said FROM kept").fetchall()
        assert rows == [("before the stop",), ("before the kill",)]
    finally:
        server.stop()


def test_what_pipelines_write_with_cannot_reach_our_tables(folder: Path) -> None:
    server = postgres.start(folder, usual_port=None, durable=False)
    try:
        with psycopg.connect(server.data_url) as connection:
            connection.execute("CREATE TABLE theirs (n int)")
        ours = server.data_url.removesuffix("/flexcore_data") + "/flexcore"

        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(ours)
        wrong = server.url.replace("flexcore:", "flexcore_data:", 1)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
    finally:
        server.stop()


def test_passwords_are_for_their_owner_alone_and_not_on_the_command_line(folder: Path) -> None:
    server = postgres.start(folder, usual_port=None, durable=False)
    try:
        command_line = " ".join(psutil.Process(server.pid).cmdline())
        passwords = list(folder.glob("*.password"))
        assert len(passwords) == 3
        for path in passwords:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert path.read_text() not in command_line
            assert path.read_text() not in repr(server)
            assert path.read_text() not in (folder / "postgres.log").read_text()
    finally:
        server.stop()


def test_as_root_a_folder_out_of_its_accounts_reach_still_works(tmp_path: Path) -> None:
    closed, shared = tmp_path / "closed", tmp_path / "shared"
    closed.mkdir(mode=0o700)

    place = postgres_place.find(closed / "data", shared=shared, as_root=True)

    assert place.ids is not None
    assert place.ids[0] != 0
    assert place.cluster.is_relative_to(shared)
    assert postgres_place.find(closed / "data", shared=shared, as_root=True) == place


def test_a_folder_made_anew_does_not_find_the_rows_of_the_old_one(tmp_path: Path) -> None:
    closed, shared = tmp_path / "closed", tmp_path / "shared"
    closed.mkdir(mode=0o700)
    old = postgres_place.find(closed / "data", shared=shared, as_root=True)
    old.cluster.mkdir()

    shutil.rmtree(closed)
    closed.mkdir(mode=0o700)
    new = postgres_place.find(closed / "data", shared=shared, as_root=True)

    assert new.cluster != old.cluster
    assert not old.cluster.exists()
