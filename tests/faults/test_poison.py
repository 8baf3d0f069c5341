"""A command that kills every worker is given up after three deaths; kills from outside count for nobody."""

import asyncio
import os
import random
import signal
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from domain.definition import Definition, OnError, Step
from domain.pipeline.pipeline import CreatePipeline
from gateway.settings import Kafka, Settings
from gateway.settings import Worker as WorkerSettings
from schemas.codec import Codec
from streams import topics_admin
from streams.answers import Answer
from streams.command_bus import CommandRequest
from streams.connection import Connection
from streams.kafka_command_bus import KafkaCommandBus
from streams.records import header_map
from streams.registry import load_registry
from streams.topics import Topics, partition_of
from tests.faults.poisoned_worker import POISON
from tests.faults.topic_reader import TopicReader
from tests.faults.workers import Workers, until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PARTITIONS = 2
KILLS = 10
SEGMENTATION_FAULT = 128 + signal.SIGSEGV
WITHIN_S = 200.0
DEFINITION = Definition((Step("a", "flexcore.x", (), OnError.FAIL, None, None, None, "{}"),))


class Stack:
    """Topics, and workers over them once `with` begins."""

    def __init__(self, kafka: str, prefix: str, folder: Path, count: int, module: str) -> None:
        self.connection, self.topics = Connection(kafka), Topics(prefix)
        topics_admin.apply(self.connection, self.topics, partitions=PARTITIONS)
        settings = Settings(
            kafka=Kafka(bootstrap=kafka, prefix=prefix, partitions=PARTITIONS),
            worker=WorkerSettings(session_timeout_s=2),
            data_dir=folder,
        )
        self.workers = Workers(settings, count, module=module)
        self.codec: Codec = load_registry(self.connection, self.topics).codec()

    def __enter__(self) -> "Stack":
        self.workers.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.workers.stop()

    def dead(self) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
        """(key, value, headers) of the dead letters."""
        reader = TopicReader(self.connection, self.topics, PARTITIONS)
        read = reader.read(self.topics.dead, "read_committed")
        return [(r.key(), r.value(), header_map(r.headers())) for r in read]

    async def answers(self, requests: Sequence[CommandRequest]) -> list[Answer]:
        bus = KafkaCommandBus(self.connection, self.topics, self.codec, partitions=PARTITIONS)
        await bus.start(lambda: pytest.fail("the reader died"))
        try:
            return list(await asyncio.gather(*(bus.send(r, WITHIN_S) for r in requests)))
        finally:
            await bus.close()


def create(pipeline_id: str, name: str = "harmless") -> CommandRequest:
    command_id = str(uuid.uuid4())
    return CommandRequest(
        context="pipeline",
        aggregate_id=pipeline_id,
        command=CreatePipeline(pipeline_id, name, "", DEFINITION),
        command_id=command_id,
        correlation_id=command_id,
    )


@pytest.mark.parametrize("count", [1, 2])
def test_a_command_that_kills_is_a_dead_letter_after_three_deaths(
    kafka: str, kafka_prefix: str, tmp_path: Path, count: int
) -> None:
    names = [f"p-{number}" for number in range(8)]
    requests = [create(name) for name in names]
    deadly = create("deadly", POISON.decode())
    requests.insert(4, deadly)
    with Stack(kafka, kafka_prefix, tmp_path, count, "tests.faults.poisoned_worker") as stack:
        answers = asyncio.run(stack.answers(requests))
        deaths = [one.code for one in stack.workers.exits]
        after = asyncio.run(stack.answers([create("after"), create("after-2")]))
        dead = stack.dead()

    assert deaths == [SEGMENTATION_FAULT] * 3
    said = {a.identity.aggregate_id: (a.error_code or a.status, a.versions) for a in answers}
    assert said == dict.fromkeys(names, ("accepted", (1,))) | {
        "deadly": ("internal.undecidable", ())
    }
    assert [answer.status for answer in after] == ["accepted"] * 2
    ((key, value, headers),) = dead
    assert (key, value) == (b"deadly", stack.codec.encode(deadly.command))
    assert headers["ce_id"] == deadly.command_id.encode()
    assert headers["dead_reason"].startswith(b"internal.undecidable: 3 times a worker died")
    assert headers["dead_partition"] == str(partition_of("deadly", PARTITIONS)).encode()


def test_kills_from_outside_make_no_dead_letters(
    kafka: str, kafka_prefix: str, tmp_path: Path
) -> None:
    names = [f"p-{number}" for number in range(6_000)]
    with Stack(kafka, kafka_prefix, tmp_path, 1, "services.worker") as stack:
        (slot,) = stack.workers.slots

        async def killed() -> list[Answer]:
            asked = asyncio.create_task(stack.answers([create(name) for name in names]))
            for _ in range(KILLS):
                await asyncio.to_thread(until, slot.ready, 60, "ready")
                await asyncio.sleep(random.uniform(0, 0.3))
                pid = slot.pid
                os.kill(pid, signal.SIGKILL)
                await asyncio.to_thread(until, lambda p=pid: slot.pid not in (0, p), 60, "again")
            return await asked

        answers = asyncio.run(killed())
        dead = stack.dead()
    assert len(stack.workers.exits) == KILLS
    assert {(a.status, a.versions) for a in answers} == {("accepted", (1,))}
    assert dead == []
