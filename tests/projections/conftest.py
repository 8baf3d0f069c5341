"""A database that has the read models' tables."""

import pytest


@pytest.fixture
def read_models(database: str) -> str:
    """URL of a fresh database with every migration."""
    from projections import migrate

    migrate.upgrade(database)
    return database
