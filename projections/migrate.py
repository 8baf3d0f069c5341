"""Bring the database's schema up to date; Alembic runs plain SQL and is imported here only."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

SCHEMA = "flexcore"

_LOCK = 0x666C6578
"""Two upgrades at once wait for each other on this advisory lock ("flex")."""


def upgrade(url: str) -> None:
    """Run every migration that the database at `url` lacks. Raises sqlalchemy's errors."""
    with _engine(url).begin() as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(url: str) -> str | None:
    """The newest migration that the database has, `None` where it has none."""
    with _engine(url).connect() as connection:
        revision: str | None = _context(connection).get_current_revision()
        return revision


def _context(connection: Any) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})


def _engine(url: str) -> sa.Engine:
    # One command, one connection: nothing to pool.
    named = sa.engine.make_url(url).set(drivername="postgresql+psycopg")
    return sa.create_engine(named, poolclass=sa.pool.NullPool)
