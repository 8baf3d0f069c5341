"""The projector against real Kafka and PostgreSQL: table = database = pure fold, whatever happens.

The tests share one log and one database; each adds histories of its own and compares everything.
"""

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from psycopg import sql

from projections import migrate
from streams.topics import event_key, partition_of
from tests.projections.event_log import EventLog
from tests.projections.history import failed_run, pipeline, succeeded_run
from tests.projections.projectors import Projectors
from tests.projections.running import RunningProjector
from tests.stack.isolation import create_database, delete_topics, drop_database

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.fixture(scope="module")
def projectors(
    kafka: str, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Projectors]:
    name = f"t{secrets.token_hex(4)}"
    database = create_database(postgres, name)
    migrate.upgrade(database)
    folder: Path = tmp_path_factory.mktemp("projectors")
    projectors = Projectors(EventLog.make(kafka, name), kafka, database, folder)
    yield projectors
    projectors.end()
    drop_database(postgres, database)
    delete_topics(kafka, name)


def runs(name: str, count: int) -> dict[str, Sequence[Any]]:
    """Runs of which every third fails."""
    keys = [f"{name}-{number}" for number in range(count)]
    return {key: (succeeded_run if n % 3 else failed_run)(key) for n, key in enumerate(keys)}


def test_only_committed_events_are_seen_and_one_bad_record_stops_nothing(
    projectors: Projectors, kafka: str
) -> None:
    projector, log = projectors.any(), projectors.log
    log.append_and_abort("execution", "ghost", succeeded_run("ghost"))
    partition = partition_of("e1", log.partitions)
    log.append_bytes("execution", partition, b"no event key", b"\x00\xffgarbage")
    log.append_bytes("execution", partition, event_key("e1", 1), b"garbage")
    torn = log.append("execution", "torn", succeeded_run("torn")[1:3], first=2)
    projectors.append("pipeline", {"weather": pipeline("weather")})
    projectors.append("execution", {"e1": succeeded_run("e1"), "acme~e2": failed_run("acme~e2")})
    projectors.agree(projector)
    projectors.wait_for(torn)
    assert projector.row("executions", "ghost")[0] == 404
    assert projector.row("executions", "torn")[0] == 404
    letters = dead_letters(kafka, log)
    assert sorted(letter.value() for letter in letters) == [b"\x00\xffgarbage", b"garbage"]
    checks = projector.get("/readyz?verbose")[1]["checks"]
    assert checks == {"assignment": True, "database": True, "staying": True}
    headers = dict(letters[0].headers())
    assert headers["dead_topic"].decode() == log.topics.events("execution")
    assert headers["dead_reason"]


def dead_letters(kafka: str, log: EventLog) -> list[Any]:
    """What lies on the dead letter topic."""
    settings = {"bootstrap.servers": kafka, "group.id": "t", "enable.auto.commit": False}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(log.topics.dead, p, 0) for p in range(log.partitions)])
    try:
        first = consumer.poll(10)
        return [letter for letter in (first, *consumer.consume(10, 1)) if letter is not None]
    finally:
        consumer.close()


def test_a_database_that_is_away_loses_nothing(projectors: Projectors, postgres: str) -> None:
    projector = projectors.any()
    name = projectors.database.rpartition("/")[2]
    admit = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(admit(sql.Identifier(name), sql.SQL("false")))
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(query, [name])
        projectors.append("execution", {"away": succeeded_run("away")})
        projector.wait(lambda: projector.get("/readyz")[0] == 503, "unready")
        projector.wait(lambda: projector.row("executions", "away")[0] == 200, "in the table")
        connection.execute(admit(sql.Identifier(name), sql.SQL("true")))
    projector.wait_ready()
    projectors.agree(projector)


def test_either_of_two_instances_answers_for_every_key_and_one_takes_over(
    projectors: Projectors,
) -> None:
    first = projectors.any()
    projectors.append("execution", runs("shared", 12))
    second = projectors.start()
    everything = set(range(projectors.log.partitions))
    second.wait(
        lambda: held(first) < everything and held(first) | held(second) == everything, "shared"
    )
    projectors.agree(first, second)
    assert first.row("executions", "nobody")[0] == second.row("executions", "nobody")[0] == 404
    assert first.stop() == 0
    second.wait(lambda: held(second) == everything, "alone")
    projectors.append("execution", runs("alone", 3))
    projectors.agree(second)


def held(projector: RunningProjector) -> set[int]:
    """The partitions of the executions that an instance holds, none while it is not ready."""
    status, body = projector.get("/v1/tables")
    return set(body["tables"][1]["partitions"]) if status == 200 else set()


def test_after_a_kill_in_full_flow_table_and_database_still_equal_the_fold(
    projectors: Projectors,
) -> None:
    projector = projectors.any()
    for block in range(20):
        projectors.append("execution", runs(f"flow{block}", 15))
        if block == 12:
            projector.kill()
    projectors.agree(projectors.start())


def test_an_empty_database_is_filled_again_although_the_group_is_further(
    projectors: Projectors,
) -> None:
    assert projectors.any().stop() == 0
    with psycopg.connect(projectors.database) as connection:
        connection.execute("TRUNCATE flexcore.pipelines, flexcore.executions, flexcore.checkpoints")
    projector = projectors.start()
    projectors.append("execution", runs("late", 3))
    projectors.agree(projector)
