"""The command bus on a real broker, with an owner whose answers the test writes."""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from confluent_kafka import Producer

from domain.errors import Limited, TooLarge, Unavailable, Unknown
from domain.pipeline.pipeline import ActivatePipeline
from schemas.codec import Codec
from streams import topics_admin
from streams.answers import REFUSED, UNAVAILABLE, Answer
from streams.command_bus import CommandRequest
from streams.connection import Connection
from streams.kafka_command_bus import KafkaCommandBus
from streams.records import ExpectedVersion, header_map
from streams.registry import load_registry
from streams.topics import Topics, partition_of
from tests.gateway.scripted_owner import Script, ScriptedOwner, write
from tests.stack.isolation import delete_topics

pytestmark = pytest.mark.kafka

PARTITIONS = 3


@dataclass(frozen=True)
class Place:
    """Topics of this module's own."""

    bootstrap: str
    topics: Topics
    codec: Codec

    def owner(self, script: Script) -> ScriptedOwner:
        return ScriptedOwner(self.bootstrap, self.topics, self.codec, PARTITIONS, script)

    @asynccontextmanager
    async def bus(self, max_pending: int = 100) -> AsyncIterator[KafkaCommandBus]:
        bus = KafkaCommandBus(
            Connection(self.bootstrap),
            self.topics,
            self.codec,
            partitions=PARTITIONS,
            max_pending=max_pending,
        )
        await bus.start(lambda: pytest.fail("the reader died"))
        try:
            yield bus
        finally:
            await bus.close()


@pytest.fixture(scope="module")
def place(kafka: str) -> Iterator[Place]:
    prefix = f"t{secrets.token_hex(4)}"
    connection, topics = Connection(kafka), Topics(prefix)
    topics_admin.apply(connection, topics, partitions=PARTITIONS)
    yield Place(kafka, topics, load_registry(connection, topics).codec())
    delete_topics(kafka, prefix)


def request(reason: str = "", **changed: Any) -> CommandRequest:
    wanted: dict[str, Any] = {
        "context": "pipeline",
        "aggregate_id": "weather",
        "command": ActivatePipeline("weather", reason),
        "command_id": str(uuid.uuid4()),
        "correlation_id": "corr",
        **changed,
    }
    return CommandRequest(**wanted)


def accept(_: Any, accepting: Answer) -> Iterable[Answer]:
    return [accepting]


def silent(_: Any, accepting: Answer) -> Iterable[Answer]:
    return []


def run(place: Place, script: Script, test: Callable[..., Awaitable[Any]], **how: Any) -> Any:
    """What `test(bus, owner)` returns."""

    async def scenario() -> Any:
        with place.owner(script) as owner:
            async with place.bus(**how) as bus:
                return await test(bus, owner)

    return asyncio.run(scenario())


def test_command_goes_to_its_owner_as_the_contract_says(place: Place) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    asked = request(expected=ExpectedVersion("exact", 4), actor="ann", traceparent=trace)

    async def test(bus: KafkaCommandBus, owner: ScriptedOwner) -> tuple[Answer, Any]:
        return await bus.send(asked, 20), owner.seen[0]

    answer, message = run(place, accept, test)

    assert (answer.identity, answer.status) == (asked.identity, "accepted")
    assert (answer.versions, answer.position) == ((1,), "pipeline/0@7")
    assert message.key() == b"weather"
    assert message.partition() == partition_of("weather", PARTITIONS)
    assert place.codec.decode(message.value()) == asked.command
    headers = {name: value.decode() for name, value in header_map(message.headers()).items()}
    time = headers.pop("ce_time")
    assert time.endswith("Z")
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": asked.command_id,
        "ce_source": "flexcore/api",
        "ce_type": "flexcore.pipeline.ActivatePipeline",
        "ce_subject": "weather",
        "content-type": "application/avro",
        "ce_tenantid": "default",
        "ce_actorid": "ann",
        "ce_correlationid": "corr",
        "ce_expectedversion": "4",
        "traceparent": trace,
    }


def test_other_content_with_the_same_id_gets_an_answer_of_its_own(place: Place) -> None:
    first = request("first")
    other = replace(first, command=ActivatePipeline("weather", "other"))
    accepted: list[str] = []

    def script(_: Any, accepting: Answer) -> Iterable[Answer]:
        accepted.append(accepting.hash)
        if accepting.hash == accepted[0]:
            return [accepting]
        refused = replace(accepting, status=REFUSED, error_code="command.id_reused", versions=())
        return [refused]

    async def test(bus: KafkaCommandBus, _: ScriptedOwner) -> list[Answer]:
        return await asyncio.gather(bus.send(first, 20), bus.send(other, 20))

    answers = run(place, script, test)

    assert [answer.error_code for answer in answers] == ["", "command.id_reused"]


def test_command_sent_fifty_times_at_once_gets_equal_answers(place: Place) -> None:
    asked = request()

    async def test(bus: KafkaCommandBus, _: ScriptedOwner) -> list[Answer]:
        return await asyncio.gather(*[bus.send(asked, 20) for _ in range(50)])

    assert len(set(run(place, accept, test))) == 1


def test_commands_of_one_aggregate_arrive_in_the_order_of_their_calls(place: Place) -> None:
    asked = [request(str(n)) for n in range(200)]

    async def test(bus: KafkaCommandBus, owner: ScriptedOwner) -> list[str]:
        await asyncio.gather(*[bus.send(one, 20) for one in asked])
        return [place.codec.decode(message.value()).reason for message in owner.seen]

    assert run(place, accept, test, max_pending=500) == [str(n) for n in range(200)]


def test_answer_that_is_not_seen_in_time_is_unknown(place: Place) -> None:
    asked = request()

    async def test(bus: KafkaCommandBus, _: ScriptedOwner) -> None:
        await bus.send(asked, 0.2)

    with pytest.raises(Unknown) as caught:
        run(place, silent, test)

    assert caught.value.fields["command_id"] == asked.command_id


def test_owner_that_cannot_judge_now_is_unavailable(place: Place) -> None:
    def script(_: Any, accepting: Answer) -> Iterable[Answer]:
        return [replace(accepting, status=UNAVAILABLE, error_code="owner.unavailable")]

    async def test(bus: KafkaCommandBus, _: ScriptedOwner) -> None:
        await bus.send(request(), 20)

    with pytest.raises(Unavailable) as caught:
        run(place, script, test)

    assert caught.value.code == "owner.unavailable"


def test_only_so_many_commands_may_wait(place: Place) -> None:
    async def test(bus: KafkaCommandBus, _: ScriptedOwner) -> list[Any]:
        waiting = [bus.send(request(), 0.3) for _ in range(3)]
        return await asyncio.gather(*waiting, return_exceptions=True)

    found = run(place, silent, test, max_pending=2)

    assert [type(error) for error in found] == [Unknown, Unknown, Limited]


def test_command_over_the_limit_is_not_sent(place: Place) -> None:
    async def test(bus: KafkaCommandBus, _: ScriptedOwner) -> None:
        await bus.send(request("x" * 1_048_000), 20)

    with pytest.raises(TooLarge):
        run(place, accept, test)


def test_large_command_within_the_limit_arrives(place: Place) -> None:
    async def test(bus: KafkaCommandBus, _: ScriptedOwner) -> Answer:
        return await bus.send(request("x" * 1_040_000), 20)

    assert run(place, accept, test).versions == (1,)


def test_garbage_among_the_answers_stops_nobody(place: Place) -> None:
    asked = request()
    producer = Producer(Connection(place.bootstrap).client())

    async def test(bus: KafkaCommandBus, _: ScriptedOwner) -> Answer:
        for value in (None, b"", b"\x00\x00\x00\x00\x01", b"\xff" * 20):
            headers: Any = [("ce_commandid", asked.command_id.encode())]
            producer.produce(place.topics.outcomes, value, headers=headers, partition=0)
        producer.flush(10)
        return await bus.send(asked, 20)

    assert run(place, accept, test).versions == (1,)


def test_answer_of_an_aborted_transaction_is_never_seen(place: Place) -> None:
    asked = request()
    connection = Connection(place.bootstrap)
    writer = Producer(connection.client(transactional_id=f"{place.topics.prefix}-aborts"))
    writer.init_transactions(20)

    def script(_: Any, accepting: Answer) -> Iterable[Answer]:
        torn = replace(accepting, status=REFUSED, error_code="stack.failed")
        writer.begin_transaction()
        write(writer, place.topics, place.codec, torn)
        writer.flush(10)
        writer.abort_transaction(10)
        return [accepting]

    async def test(bus: KafkaCommandBus, _: ScriptedOwner) -> Answer:
        return await bus.send(asked, 20)

    assert run(place, script, test).status == "accepted"


def test_answers_from_before_the_start_are_not_read_again(place: Place) -> None:
    asked = request()

    async def test(bus: KafkaCommandBus, _: ScriptedOwner) -> Answer:
        return await bus.send(asked, 20)

    async def late(bus: KafkaCommandBus, _: ScriptedOwner) -> None:
        await bus.send(asked, 0.3)

    run(place, accept, test)
    with pytest.raises(Unknown):
        run(place, silent, late)


def test_whoever_still_waits_at_the_end_is_told_that_the_outcome_is_unknown(place: Place) -> None:
    async def scenario() -> BaseException | None:
        async with place.bus() as bus:
            sending = asyncio.create_task(bus.send(request(), 20))
            await asyncio.sleep(0)
        await asyncio.wait([sending])
        return sending.exception()

    assert isinstance(asyncio.run(scenario()), Unknown)
