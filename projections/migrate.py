"""Bring the database's schema up to date: plain SQL, run by Alembic.

Alembic takes a second to import, so it is asked only where a migration is missing.
"""

from pathlib import Path

import psycopg

from domain.errors import Unavailable

SCHEMA = "flexcore"

_LOCK = 0x666C6578
"""Two upgrades at once wait for each other on this advisory lock ("flex")."""
_MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST = max(path.stem.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def upgrade(url: str) -> str | None:
    """Run every migration that the database at `url` lacks; the newest one that it had before.

    A database of a later release stays as it is. Raises psycopg.Error.
    """
    before = current(url)
    if _lacks_some(before):
        _upgrade(url)
    return before


def check(url: str) -> str:
    """The newest migration that the database has: ours, or one of a later release.

    Raises Unavailable (`database.not_migrated`) where one is missing, and psycopg.Error.
    """
    found = current(url)
    if found is None or _lacks_some(found):
        raise Unavailable(
            "database.not_migrated",
            f"the database has migration {found or 'none'}; {NEWEST} is required; "
            "run `flexcore database migrate`",
        )
    return found


def current(url: str) -> str | None:
    """The newest migration that the database has, `None` where it has none."""
    with psycopg.connect(url) as connection:
        known = connection.execute(
            "SELECT to_regclass(%s)", [f"{SCHEMA}.alembic_version"]
        ).fetchone()
        if known is None or known[0] is None:
            return None
        found = connection.execute("SELECT version_num FROM flexcore.alembic_version").fetchone()
        return None if found is None else str(found[0])


def _lacks_some(newest: str | None) -> bool:
    return newest is None or newest < NEWEST


def _upgrade(url: str) -> None:
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config
    from sqlalchemy.exc import DBAPIError

    # One command, one connection: nothing to pool.
    named = sa.engine.make_url(url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(named, poolclass=sa.pool.NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            config = Config()
            config.set_main_option("script_location", str(_MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise psycopg.DatabaseError(str(error.orig)) from error
