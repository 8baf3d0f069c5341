"""Three workers, one standby for each partition: who reads what, and who serves after a kill -9."""

import os
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.settings import Kafka, Settings
from gateway.settings import Worker as WorkerSettings
from streams import topics_admin
from streams.connection import Connection
from streams.topics import Topics, partition_of
from tests.faults.workers import Slot, Workers, until
from tests.gateway.running_api import RunningApi

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PARTITIONS = 6
NOBODY = "postgresql://nobody@127.0.0.1:1/nothing"
PIPELINE = {
    "name": "P",
    "steps": [{"id": "a", "uses": "flexcore.filter", "with": {"rows": [], "where": "true"}}],
}
RUNS = [str(uuid.UUID(int=number)) for number in range(24)]


@pytest.fixture
def workers(kafka: str, kafka_prefix: str, tmp_path: Path) -> Iterator[Workers]:
    topics_admin.apply(Connection(kafka), Topics(kafka_prefix), partitions=PARTITIONS)
    settings = Settings(
        kafka=Kafka(bootstrap=kafka, prefix=kafka_prefix, partitions=PARTITIONS),
        worker=WorkerSettings(session_timeout_s=2, standby=1),
        data_dir=tmp_path,
    )
    found = Workers(settings, 3)
    yield found
    found.stop()


@pytest.fixture
def api(kafka: str, kafka_prefix: str, workers: Workers, tmp_path: Path) -> Iterator[RunningApi]:
    """Behind all workers; it does without a database."""
    workers.start()
    settings = {"KAFKA__BOOTSTRAP": kafka, "KAFKA__PREFIX": kafka_prefix, "DATABASE__URL": NOBODY}
    found = RunningApi(tmp_path, settings)
    found.wait_ready()
    yield found
    found.stop()


def test_partitions_are_followed_by_their_owner_and_one_more(
    api: RunningApi, workers: Workers
) -> None:
    until(lambda: followers(workers) == [2] * PARTITIONS, 30, "two followers each")
    positions = given_runs(api)
    for run in RUNS:
        read = api.request("GET", events_of(run), headers=at(positions[run])).json()
        assert versions(read) == versions(api.request("GET", events_of(run)).json())
        for slot in workers.slots:
            follows = partition_of(run, PARTITIONS) in slot.health()["follows"]
            offset = positions[run].rpartition("@")[2]
            path = f"/internal/streams/execution/{run}/events?min_offset={offset}"
            answer = httpx2.get(f"http://127.0.0.1:{slot.port}{path}", trust_env=False)
            assert answer.status_code == (200 if follows else 421)


def test_reads_are_right_and_nothing_is_lost_when_an_owner_is_killed(
    api: RunningApi, workers: Workers
) -> None:
    until(lambda: followers(workers) == [2] * PARTITIONS, 30, "two followers each")
    positions = given_runs(api)
    victim, others = workers.slots[0], workers.slots[1:]
    lost = owned(victim)
    stood_by = {number: slot for slot in others for number in lost & follows(slot)}
    stop, accepted = threading.Event(), dict.fromkeys((f"p-{n}" for n in range(12)), 0)
    history = threading.Thread(target=revise_all, args=(api, accepted, stop))
    history.start()

    victim.kept = False
    os.kill(victim.pid, signal.SIGKILL)
    while owned(others[0]) | owned(others[1]) != set(range(PARTITIONS)):
        for run in RUNS:
            answer = api.request("GET", events_of(run), headers=at(positions[run]))
            assert answer.status_code == 200, answer.text
            assert versions(answer.json())[:2] == [1, 2]
    until(lambda: all(slot.ready() for slot in others), 60, "both ready")
    stop.set()
    history.join()

    for number, slot in stood_by.items():
        assert number in owned(slot)
    for pipeline_id, count in accepted.items():
        found = api.request("GET", f"/v1/streams/pipeline/{pipeline_id}/events?limit=1000").json()
        assert versions(found) == list(range(1, count + 1))
    for run in RUNS:
        found = api.request("GET", events_of(run)).json()
        assert versions(found) == list(range(1, len(found["items"]) + 1))
        assert found["items"][-1]["type"].endswith("ExecutionCompleted")


def given_runs(api: RunningApi) -> dict[str, str]:
    """An active pipeline and runs of it; the position of each run's start."""
    send(api, "CreatePipeline", "pipe", PIPELINE)
    send(api, "ActivatePipeline", "pipe", {"reason": "go"})
    execute = {"pipeline_id": "pipe", "input": {}}
    found = {run: send(api, "ExecutePipeline", run, execute)["position"] for run in RUNS}
    for run in RUNS:
        until(lambda r=run: ended(api, r), 60, "the end of every run")  # type: ignore[misc]
    return found


def revise_all(api: RunningApi, accepted: dict[str, int], stop: threading.Event) -> None:
    """Create and revise pipelines one after the other, each time until it is accepted."""
    while not stop.is_set():
        for pipeline_id in accepted:
            count = accepted[pipeline_id] + 1
            name = "CreatePipeline" if count == 1 else "RevisePipeline"
            found = send(api, name, pipeline_id, {**PIPELINE, "name": f"Name {count}"})
            assert found["versions"] == [count]
            accepted[pipeline_id] = count


def send(api: RunningApi, name: str, aggregate_id: str, data: dict[str, object]) -> dict[str, Any]:
    """The outcome of a command, sent with the same id until there is one."""
    context = "execution" if name == "ExecutePipeline" else "pipeline"
    definition = {k: v for k, v in data.items() if k != "steps"}
    if "steps" in data:
        definition |= {"description": "", "definition": {"steps": data["steps"]}}
    body = {
        "type": f"flexcore.{context}.{name}",
        "aggregate_id": aggregate_id,
        "data": definition,
        "command_id": str(uuid.uuid4()),
    }
    while True:
        answer = api.request("POST", "/v1/commands", json=body)
        if answer.status_code not in (503, 504):
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json()
            assert found["status"] == "accepted", found
            return found


def ended(api: RunningApi, run: str) -> bool:
    items = api.request("GET", events_of(run)).json()["items"]
    return bool(items) and items[-1]["type"].endswith(("Completed", "Failed"))


def events_of(run: str) -> str:
    return f"/v1/streams/execution/{run}/events"


def at(position: str) -> dict[str, str]:
    return {"FlexCore-Min-Position": position}


def versions(page: dict[str, list[dict[str, int]]]) -> list[int]:
    return [event["version"] for event in page["items"]]


def owned(slot: Slot) -> set[int]:
    return {int(place.rpartition("/")[2]) for place in slot.health().get("partitions", ())}


def follows(slot: Slot) -> set[int]:
    return set(slot.health().get("follows", ()))


def followers(workers: Workers) -> list[int]:
    """How many workers follow each partition."""
    following = [follows(slot) for slot in workers.slots]
    return [sum(number in numbers for numbers in following) for number in range(PARTITIONS)]
