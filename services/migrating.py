"""Bringing the tables of the read models up to date, with errors for people."""

import psycopg

from projections import migrate
from services.embedded.errors import failed


def bring_up_to_date(url: str, *, dry_run: bool = False) -> str | None:
    """Run the migrations that the database lacks, or none; the newest one that it had before.

    Raises `Unavailable` (`stack.failed`).
    """
    try:
        return migrate.current(url) if dry_run else migrate.upgrade(url)
    except psycopg.Error as error:
        raise failed(
            "the tables of the read models could not be made",
            cause=str(error).partition("\n")[0],
            fix="check that the database of FLEXCORE__DATABASE__URL runs and lets its role create tables",
        ) from error
