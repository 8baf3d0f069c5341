"""Alembic's entry point: the migrations run on the connection and in the transaction of `upgrade`."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    version_table_schema="flexcore",
)
context.run_migrations()
