"""The api process: how it starts, what it does without its neighbours, and how it ends."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams import topics_admin
from streams.connection import Connection
from streams.topics import Topics
from tests.gateway.running_api import RunningApi

Start = Callable[[dict[str, str]], RunningApi]

NOBODY = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an api with settings; none outlives its test."""
    started: list[RunningApi] = []

    def begin(settings: dict[str, str]) -> RunningApi:
        started.append(RunningApi(tmp_path, settings))
        return started[-1]

    yield begin
    for api in started:
        api.kill()


def test_without_its_settings_it_says_what_is_missing(start: Start) -> None:
    api = start({})

    assert api.ended() == 7
    assert "FLEXCORE__KAFKA__BOOTSTRAP" in api.log.read_text()


@pytest.mark.kafka
def test_without_topics_it_refuses_to_start_and_says_what_to_run(
    start: Start, kafka: str, kafka_prefix: str
) -> None:
    api = start({"KAFKA__BOOTSTRAP": kafka, "KAFKA__PREFIX": kafka_prefix, "DATABASE__URL": NOBODY})

    assert api.ended() == 6
    assert "flexcore topics apply" in api.log.read_text()


@pytest.mark.kafka
def test_it_serves_without_a_worker_or_a_database_and_ends_when_told_to(
    start: Start, kafka: str, kafka_prefix: str
) -> None:
    topics_admin.apply(Connection(kafka), Topics(kafka_prefix), partitions=2)
    api = start({"KAFKA__BOOTSTRAP": kafka, "KAFKA__PREFIX": kafka_prefix, "DATABASE__URL": NOBODY})

    ready = api.wait_ready().json()
    subjects = api.request("GET", "/registry/subjects").json()
    read = api.request("GET", "/v1/pipelines")
    stream = api.request("GET", "/v1/streams/pipeline/weather/events")
    tables = api.request("GET", "/v1/tables")
    second = start({"KAFKA__BOOTSTRAP": kafka, "DATABASE__URL": NOBODY, "API__PORT": str(api.port)})

    assert (ready["status"], ready["checks"]["kafka"]) == ("degraded", "ok")
    assert f"{kafka_prefix}.outcomes-flexcore.outcome.Outcome" in subjects
    assert (read.status_code, read.json()["code"]) == (503, "database.unavailable")
    assert (stream.status_code, stream.json()["code"]) == (503, "owner.unavailable")
    assert stream.headers["Retry-After"] == "1"
    assert (tables.status_code, tables.json()["code"]) == (503, "owner.unavailable")
    assert "FLEXCORE__PROJECTOR__URL" in tables.json()["detail"]
    assert second.ended() == 6
    assert "FLEXCORE__API__PORT" in second.log.read_text()
    assert api.stop() == 0
