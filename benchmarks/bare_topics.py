"""The bare loop at work over topics of its own."""

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka.admin import AdminClient

from streams import topics_admin
from streams.broker_wait import until_answered
from streams.connection import Connection
from streams.kafka_group import KafkaGroup
from streams.topics import Topics

_PARTITIONS = 8
_LEADERS_WITHIN_S = 20.0


@contextmanager
def bare_topics(connection: Connection) -> Iterator[Topics]:
    """New topics whose commands bare_loop.py answers; they are deleted afterwards."""
    topics = Topics(f"bench{uuid.uuid4().hex[:6]}")
    topics_admin.apply(connection, topics, partitions=_PARTITIONS)
    _await_leaders(connection, topics)
    command = [sys.executable, "-m", "benchmarks.bare_loop", connection.bootstrap, topics.prefix]
    loop = subprocess.Popen(command, cwd=Path(__file__).parents[1])
    try:
        yield topics
    finally:
        loop.kill()
        loop.wait()
        admin = AdminClient(connection.client())
        names = [topic.name for topic in topics.table()]
        for deleted in admin.delete_topics(names).values():
            deleted.result()


def _await_leaders(connection: Connection, topics: Topics) -> None:
    """A topic that was made just now has partitions without a leader for a moment."""
    group = KafkaGroup(connection, topics)
    deadline = time.monotonic() + _LEADERS_WITHIN_S
    names = (topics.outcomes, topics.events("pipeline"), topics.commands("pipeline"))
    places = {(name, n): name for name in names for n in range(_PARTITIONS)}
    until_answered(lambda: group.ends(places), deadline)
