"""The two roles and databases of FlexCore, each closed to the other's role."""

from collections.abc import Mapping

import psycopg
from psycopg import sql

from services.embedded.errors import failed


def make_roles(admin_url: str, passwords: Mapping[str, str]) -> None:
    """Make every role with a database of its own and its name; may be repeated after an interruption.

    Raises `Unavailable` (`stack.failed`).
    """
    try:
        _make_roles(admin_url, passwords)
    except psycopg.Error as error:
        raise failed(
            "the embedded PostgreSQL could not be set up",
            cause=str(error).partition("\n")[0],
            fix="check that the disk of its data folder has room",
        ) from error


def _make_roles(admin_url: str, passwords: Mapping[str, str]) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for role, password in passwords.items():
            _make_role(connection, role, password)
        # Every role may connect to any database unless this is taken from PUBLIC.
        for database in (*passwords, "postgres", "template1"):
            statement = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
            connection.execute(statement.format(sql.Identifier(database)))


def _make_role(connection: psycopg.Connection, role: str, password: str) -> None:
    name, secret = sql.Identifier(role), sql.Literal(password)
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, secret))
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (role,)).fetchone():
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
