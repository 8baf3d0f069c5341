"""Schedules on real Kafka: each time has one run, over the death of the worker and its clock."""

import secrets
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Producer

from agents.engine import Engine
from domain.execution.messages import ExecutionStarted
from domain.pipeline.pipeline import ActivatePipeline, CreatePipeline, PipelineScheduleFired
from domain.schedule import CatchUp, Schedule
from schemas import catalogue
from streams import topics_admin
from streams.connection import Connection
from streams.topics import Topics, partition_of
from tests.agents.world import FakeRunner
from tests.stack.isolation import delete_topics
from tests.streams.laned import Laned, laned
from tests.streams.scripts import DEFINITION

pytestmark = pytest.mark.kafka

PARTITIONS = 3
WITHIN_S = 60.0
PIPELINES = [f"p{n}" for n in range(5)]


@pytest.fixture
def topics(kafka: str) -> Iterator[Topics]:
    found = Topics(f"t{secrets.token_hex(4)}")
    topics_admin.apply(Connection(kafka), found, partitions=PARTITIONS)
    yield found
    delete_topics(kafka, found.prefix)


class Clocked:
    """An engine over a lane, whose clock a test sets; the times of schedules lie in the future."""

    def __init__(self, lane: Laned, now: datetime) -> None:
        self.lane, self.now = lane, now
        self.engine = Engine(
            FakeRunner(),
            lane.index,
            lane.codec,
            lane.lane.take_internal,
            PARTITIONS,
            in_flight=4,
        )
        self.engine._own(frozenset(("pipeline", n) for n in range(PARTITIONS)))

    def until(self, runs: int) -> None:
        """Step until so many runs have started; what was committed is found in the index."""
        deadline = time.monotonic() + WITHIN_S
        while len(self.found(ExecutionStarted)) < runs:
            assert time.monotonic() < deadline, "no run started"
            self.engine.step(self.now, 0.05)

    def found(self, kind: type) -> list[Any]:
        """The events of a kind in the index."""
        index, context = self.lane.index, "pipeline"
        if kind is ExecutionStarted:
            context = "execution"
        ids = [i for n in range(PARTITIONS) for i in index.aggregates(context, n)]
        name = catalogue.full_names()[kind]
        records = [record for one in ids for record in index.events(context, one)]
        return [self.lane.codec.decode(r.value or b"") for r in records if r.type == name]


def send(lane: Laned, *commands: CreatePipeline | ActivatePipeline) -> None:
    producer = Producer(lane.connection.client(enable_idempotence=True))
    for command in commands:
        producer.produce(
            lane.topics.commands("pipeline"),
            key=command.pipeline_id.encode(),
            value=lane.codec.encode(command),
            partition=partition_of(command.pipeline_id, PARTITIONS),
            headers=[("ce_id", str(uuid.uuid4()).encode())],
        )
    producer.flush()
    ids = {command.pipeline_id for command in commands}
    read = lane.tailer.wait_read(
        lambda: all(lane.index.last_version("pipeline", one) == 2 for one in ids), WITHIN_S
    )
    assert read


def test_each_time_starts_one_run_whoever_owns_the_pipeline(kafka: str, topics: Topics) -> None:
    now = datetime.now(UTC)
    # Half a day away, so that each day from now on has one time.
    daily = Schedule(f"0 {(now.hour + 12) % 24} * * *", "UTC", CatchUp.ALL, '{"day": 1}')
    with laned(Connection(kafka), topics, PARTITIONS) as lane:
        for name in PIPELINES:
            send(
                lane,
                CreatePipeline(name, "A", "", DEFINITION, daily),
                ActivatePipeline(name, ""),
            )
        first = Clocked(lane, now + timedelta(days=1))
        first.until(len(PIPELINES))
        # A second engine over the same pipelines, as after a takeover in doubt.
        again = Clocked(lane, now + timedelta(days=1))
        for _ in range(5):
            again.engine.step(again.now, 0.05)
    with laned(Connection(kafka), topics, PARTITIONS) as lane:
        second = Clocked(lane, now + timedelta(days=2))
        second.until(2 * len(PIPELINES))
        for _ in range(5):
            second.engine.step(second.now, 0.05)
        fired = second.found(PipelineScheduleFired)
        started = second.found(ExecutionStarted)
    assert Counter(one.pipeline_id for one in fired) == dict.fromkeys(PIPELINES, 2)
    assert {one.execution_id for one in started} == {one.execution_id for one in fired}
    assert len(started) == len(fired)
    times = {one.scheduled_for for one in started}
    assert times == {one.scheduled_for for one in fired}
    assert len(times) == 2
