"""`flexcore topics`: make and check the topics that everything stands on."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from cyclopts import App

from gateway.cli import places
from gateway.cli.options import WHERE, Where
from gateway.cli.output import View, show, show_all, tell

if TYPE_CHECKING:
    from streams.topics import Topics

TOPIC = View(
    name="topic",
    columns={
        "TOPIC": "topic",
        "PARTITIONS": "partitions",
        "STATE": "state",
        "CLEANUP": "cleanup",
        "TIMESTAMPS": "timestamps",
    },
)
CHANGE = View(name="name", columns={"DONE": "what", "NAME": "name"})
VERIFIED = View(name="partitions", columns={})

app = App(name="topics", help="Make and check the topics.", help_format="plaintext")


@app.command
def apply(*, dry_run: bool = False, where: Where = WHERE) -> None:
    """Create the topics and register the schemas that are missing; nothing that is there changes.

    Parameters
    ----------
    dry_run
        only list the topics that would be created
    """
    from streams import topics_admin
    from streams.topics import Topics

    connection, settings = places.kafka(where)
    topics = Topics(settings.kafka.prefix)
    if dry_run:
        found = topics_admin.listing(connection, topics)
        missing = [asdict(row) for row in found if row.state == "missing"]
        show_all(
            [{"what": "would create", "name": row["topic"]} for row in missing],
            CHANGE,
            where.output,
        )
        return
    changes = topics_admin.apply(
        connection,
        topics,
        partitions=settings.kafka.partitions,
        replication_factor=settings.kafka.replication_factor,
        registry_url=settings.registry.url,
    )
    if changes:
        show_all([asdict(change) for change in changes], CHANGE, where.output)
    tell(f"{len(changes)} changes; {_count(topics)} topics are as they should be")


@app.command
def verify(*, where: Where = WHERE) -> None:
    """Check that every topic is there, with its partitions, cleanup policy and timestamps."""
    from streams import topics_admin
    from streams.topics import Topics

    connection, settings = places.kafka(where)
    topics = Topics(settings.kafka.prefix)
    partitions = topics_admin.verify(connection, topics)
    found = {"topics": _count(topics), "partitions": partitions, "state": "ok"}
    show(found, VERIFIED, where.output)


@app.command(name="list")
def list_(*, where: Where = WHERE) -> None:
    """List the topics as they are on the broker."""
    from streams import topics_admin
    from streams.topics import Topics

    connection, settings = places.kafka(where)
    found = topics_admin.listing(connection, Topics(settings.kafka.prefix))
    rows = [
        {
            "topic": row.topic,
            "partitions": row.partitions,
            "state": row.state,
            "cleanup": row.settings.get("cleanup.policy"),
            "timestamps": row.settings.get("message.timestamp.type"),
            "settings": dict(row.settings),
        }
        for row in found
    ]
    show_all(rows, TOPIC, where.output)


def _count(topics: "Topics") -> int:
    return sum(1 for _ in topics.table())
