"""How a service ends when it is told to: unready, what is under way to its end, away, exit code 0."""

import signal
import time

import pytest

from projections import migrate
from streams import topics_admin
from streams.connection import Connection
from streams.topics import Topics
from tests.services.running_service import ENDS_WITHIN_S, ROLES, RunningService, Start
from tests.stack.waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(900)]

PIPELINE = {
    "pipeline_id": "p",
    "name": "x",
    "steps": [{"id": "a", "uses": "flexcore.csv_read", "with": {"path": "none.csv"}}],
}


@pytest.fixture
def services(
    start: Start, kafka: str, kafka_prefix: str, database: str
) -> dict[str, RunningService]:
    """All three, ready."""
    topics_admin.apply(Connection(kafka), Topics(kafka_prefix), partitions=2)
    migrate.upgrade(database)
    settings = {"KAFKA__BOOTSTRAP": kafka, "KAFKA__PREFIX": kafka_prefix, "DATABASE__URL": database}
    found = {role: start(role, settings) for role in ROLES}
    for service in found.values():
        service.wait_ready()
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_told_to_end_does_so_with_0_and_without_a_stack_trace(
    services: dict[str, RunningService], number: int
) -> None:
    assert services["api"].get("/v1/pipelines", "POST", PIPELINE).status in (200, 201)

    began = time.monotonic()
    for service in services.values():
        service.signal(number)
    until(
        lambda: all(s.get("/readyz").status in (0, 503) for s in services.values()),
        within_s=ENDS_WITHIN_S,
    )
    codes = {role: service.ended(ENDS_WITHIN_S) for role, service in services.items()}

    assert codes == dict.fromkeys(ROLES, 0)
    assert time.monotonic() - began < ENDS_WITHIN_S
    for service in services.values():
        # Each line is JSON, and none tells of an error.
        assert {line["level"] for line in service.lines()} <= {"info", "warning"}


def test_a_second_signal_ends_it_now(services: dict[str, RunningService]) -> None:
    began = time.monotonic()
    for service in services.values():
        service.signal(signal.SIGTERM)
        service.signal(signal.SIGINT)
    codes = {role: service.ended(ENDS_WITHIN_S) for role, service in services.items()}

    assert codes == dict.fromkeys(ROLES, 0)
    assert time.monotonic() - began < ENDS_WITHIN_S
