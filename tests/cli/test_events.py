"""The event store on the command line: one aggregate from the api, all of them from Kafka."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

from domain.definition import Definition, OnError, Step
from domain.pipeline.pipeline import PipelineActivated, PipelineCreated
from services import cli
from streams import topics_admin
from streams.connection import Connection
from streams.registry import load_registry
from streams.topics import Topics, event_key
from tests.cli.served import Served
from tests.gateway.memory_stack import create

AT = datetime(2026, 3, 1, tzinfo=UTC)
DEFINITION = Definition((Step("a", "flexcore.x", (), OnError.FAIL, None, None, None, "{}"),))


def test_events_are_read_up_to_a_version_or_a_time(flexcore: Served) -> None:
    create(flexcore.stack)
    flexcore.stack.later(60)
    flexcore.run("pipeline", "activate", "weather")
    read = "events", "read", "pipeline/weather", "-o", "jsonl"

    whole = flexcore.run(*read)
    to_version = flexcore.run(*read, "--to-version", "1")
    at = flexcore.run(*read, "--at", "2026-03-01T13:00:59+01:00")

    first, second = whole.out.splitlines()
    assert to_version.out.splitlines() == at.out.splitlines() == [first]
    assert '"PipelineActivated"' in second


@pytest.mark.parametrize("words", ["read pipeline/weather --at noon", "tail --since 2026-03-01"])
def test_a_time_without_a_zone_is_refused(flexcore: Served, words: str) -> None:
    ran = flexcore.run("events", *words.split())

    assert (ran.code, ran.out) == (7, "")
    assert ran.err.startswith("error[query.invalid]: ")
    assert "2026-03-01T12:00:00Z" in ran.err


@dataclass
class Log:
    """Events on real topics, and the command line that reads them."""

    captured: pytest.CaptureFixture[str]

    def printed(self, *words: str) -> list[str]:
        """What a command prints, which must succeed."""
        self.captured.readouterr()
        code = cli.run(["events", *words])
        shown = self.captured.readouterr()
        assert (code, shown.err) == (0, ""), shown.err
        return shown.out.splitlines()


@pytest.fixture
def log(
    kafka: str,
    kafka_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Log:
    """`a` is created and activated, then `b` is created."""
    connection, topics = Connection(kafka), Topics(kafka_prefix)
    topics_admin.apply(connection, topics, partitions=2)
    codec = load_registry(connection, topics).codec()
    producer = Producer(connection.client())
    written: Sequence[tuple[str, int, object]] = [
        ("a", 1, PipelineCreated("a", 1, "h", "A", "somebody", AT, "", DEFINITION)),
        ("a", 2, PipelineActivated("a", "somebody", AT, "go")),
        ("b", 1, PipelineCreated("b", 1, "h", "B", "somebody", AT, "", DEFINITION)),
    ]
    for aggregate_id, version, event in written:
        producer.produce(
            topics.events("pipeline"),
            codec.encode(event),
            event_key(aggregate_id, version),
            partition=0,
            headers=[("ce_type", f"flexcore.pipeline.{type(event).__name__}".encode())],
        )
        assert producer.flush(20) == 0
    monkeypatch.setenv("FLEXCORE__KAFKA__BOOTSTRAP", kafka)
    monkeypatch.setenv("FLEXCORE__KAFKA__PREFIX", kafka_prefix)
    return Log(capsys)


@pytest.mark.kafka
def test_all_events_are_printed_up_to_the_present_end(log: Log) -> None:
    created, activated, other = log.printed("all")

    assert ("PipelineCreated" in created, "PipelineActivated" in activated) == (True, True)
    assert log.printed("all", "--type", "PipelineCreated") == [created, other]
    assert log.printed("all", "--context", "execution") == []
    assert log.printed("all", "--from-timestamp", "2026-01-01T00:00:00Z") != []
    assert log.printed("all", "--from-timestamp", "9999-01-01T00:00:00Z") == []


@pytest.mark.kafka
def test_following_begins_where_it_is_told(log: Log) -> None:
    everything = log.printed("all")

    assert log.printed("tail", "--from-start", "--count", "3") == everything
    assert log.printed("tail", "--since", "2026-01-01T00:00:00Z", "--count", "2") == everything[:2]
    activations = ["--type", "flexcore.pipeline.PipelineActivated", "--count", "1"]
    assert log.printed("tail", "--from-start", *activations) == everything[1:2]


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("all --type PipelineEaten", 7, "there is no event 'PipelineEaten'"),
        ("all --type PipelineCreated --context execution", 7, "there is no event"),
        ("all --context nonsense", 3, "there is no context 'nonsense'"),
        ("tail --from-start --since 2026-01-01T00:00:00Z", 7, "exclude each other"),
    ],
)
def test_events_that_cannot_be_are_refused(log: Log, words: str, code: int, message: str) -> None:
    assert cli.run(["events", *words.split()]) == code
    assert message in log.captured.readouterr().err
