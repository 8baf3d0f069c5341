"""Topics and databases that belong to one test."""

import os
import secrets
from urllib.parse import urlsplit, urlunsplit

import psycopg
from confluent_kafka.admin import AdminClient
from psycopg import sql

RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", secrets.token_hex(4))[:8]
"""The same in all processes of a test run: names of tests that differ in each cannot be shared out."""


def delete_topics(bootstrap: str, prefix: str) -> None:
    """Delete every topic whose name starts with the prefix and a dot or a dash."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    names = [
        name
        for name in admin.list_topics(timeout=10).topics
        if name.startswith((f"{prefix}.", f"{prefix}-"))
    ]
    if names:
        for future in admin.delete_topics(names, operation_timeout=10).values():
            future.result()


def create_database(admin_url: str, name: str) -> str:
    """Create the database and return its URL."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(admin_url)._replace(path=f"/{name}"))


def drop_database(admin_url: str, url: str) -> None:
    """Drop the database, whoever is still connected."""
    name = urlsplit(url).path.lstrip("/")
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
