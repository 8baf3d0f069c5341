"""The read models of the first release: pipelines, executions, checkpoints.

A body is `json`, not `jsonb`: what events may hold (`\\u0000`, numbers of any length) is kept as
it was written, and one such value must not stop a projection. Ids compare by bytes, as cursors do.
"""

from alembic import op

revision = "0001"
down_revision = None

UP = """
CREATE TABLE flexcore.pipelines (
    id text COLLATE "C" PRIMARY KEY,
    tenant text NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    updated_at timestamptz NOT NULL,
    body json NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX ON flexcore.pipelines (tenant, updated_at DESC, id DESC);
CREATE INDEX ON flexcore.pipelines (tenant, status, updated_at DESC, id DESC);
CREATE INDEX ON flexcore.pipelines (tenant, name, updated_at DESC, id DESC);

CREATE TABLE flexcore.executions (
    id text COLLATE "C" PRIMARY KEY,
    tenant text NOT NULL,
    version bigint NOT NULL,
    pipeline_id text NOT NULL,
    status text NOT NULL,
    started_at timestamptz NOT NULL,
    body json NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX ON flexcore.executions (tenant, started_at DESC, id DESC);
CREATE INDEX ON flexcore.executions (tenant, status, started_at DESC, id DESC);
CREATE INDEX ON flexcore.executions (tenant, pipeline_id, started_at DESC, id DESC);

CREATE TABLE flexcore.checkpoints (
    projection text NOT NULL,
    context text NOT NULL,
    "partition" integer NOT NULL,
    "position" bigint NOT NULL,
    PRIMARY KEY (projection, context, "partition")
) WITH (fillfactor = 50);
COMMENT ON TABLE flexcore.checkpoints IS
    'Offset of the last event of an event topic that a read model includes';
"""

DOWN = """
DROP TABLE flexcore.pipelines, flexcore.executions, flexcore.checkpoints;
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(UP)


def downgrade() -> None:
    """Drop them; the events can rebuild everything."""
    op.execute(DOWN)
