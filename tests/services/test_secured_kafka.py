"""Passwords and TLS to Kafka: the right ones serve, a wrong one is named with the setting to correct."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import Unavailable
from streams import topics_admin
from streams.connection import Connection
from streams.topics import Topics
from tests.services.running_service import Start
from tests.services.secured_kafka import PASSWORD, USER, SecuredKafka, secured_kafka

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]

WITHIN_S = 10.0
SASL = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": USER,
    "sasl.password": PASSWORD,
}
OF_CREDENTIALS = (
    "correct FLEXCORE__KAFKA__SASL_USERNAME, FLEXCORE__KAFKA__SASL_PASSWORD and "
    "FLEXCORE__KAFKA__SASL_MECHANISM"
)
OF_THE_PROTOCOL = "set FLEXCORE__KAFKA__SECURITY_PROTOCOL to what the broker speaks on this port"


@pytest.fixture(scope="module")
def broker() -> Iterator[SecuredKafka]:
    """One for this module, with FlexCore's topics."""
    folder = Path(tempfile.mkdtemp(prefix="flexcore-secured-"))
    try:
        with secured_kafka(folder) as found:
            topics_admin.apply(Connection(found.plain), Topics("flexcore"), partitions=2)
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refused(bootstrap: str, security: dict[str, str]) -> tuple[str, str]:
    """Cause and fix."""
    with pytest.raises(Unavailable) as error:
        topics_admin.verify(Connection(bootstrap, security), Topics("flexcore"), within_s=WITHIN_S)
    assert error.value.code == "broker.unavailable"
    assert error.value.fields["what"] == f"Kafka at {bootstrap} does not serve"
    assert PASSWORD not in error.value.message
    return str(error.value.fields["cause"]), str(error.value.fields["fix"])


def test_a_wrong_password_is_named(broker: SecuredKafka) -> None:
    cause, fix = refused(broker.sasl, {**SASL, "sasl.password": "wrong"})

    assert "Authentication failed: Invalid username or password" in cause
    assert fix == OF_CREDENTIALS


def test_a_password_for_a_broker_that_asks_for_none_is_named(broker: SecuredKafka) -> None:
    cause, fix = refused(broker.plain, SASL)

    assert "SASL" in cause
    assert fix == OF_CREDENTIALS


def test_plain_text_to_a_tls_port_is_named(broker: SecuredKafka) -> None:
    cause, fix = refused(broker.tls, {})

    assert cause == "it closes connections before it answers"
    assert fix.startswith(OF_THE_PROTOCOL)


def test_tls_to_a_plain_text_port_is_named(broker: SecuredKafka) -> None:
    cause, fix = refused(broker.plain, {"security.protocol": "SSL"})

    # Which of them depends on who is first to give up.
    assert "SSL handshake failed" in cause or "SSL connection closed by peer" in cause
    assert fix.startswith(OF_THE_PROTOCOL)


def test_a_certificate_of_an_authority_that_is_not_known_is_named(broker: SecuredKafka) -> None:
    cause, fix = refused(broker.tls, {"security.protocol": "SSL"})

    assert "certificate verify failed" in cause
    assert "FLEXCORE__KAFKA__SSL_CA_LOCATION" in fix


def test_a_service_with_a_wrong_password_refuses_to_start(
    broker: SecuredKafka, start: Start
) -> None:
    service = start("worker", {"KAFKA__BOOTSTRAP": broker.sasl, **settings("wrong")})

    code, (name, what, _, fix) = service.refusal()

    assert (code, name, fix) == (6, "broker.unavailable", OF_CREDENTIALS)
    assert what == f"Kafka at {broker.sasl} does not serve"


def test_services_serve_with_a_password_and_with_tls(broker: SecuredKafka, start: Start) -> None:
    """Both of a worker's clients, librdkafka and aiokafka, take the same settings."""
    tls = {"SECURITY_PROTOCOL": "SSL", "SSL_CA_LOCATION": str(broker.certificates)}
    named = {f"KAFKA__{name}": value for name, value in tls.items()}
    both = [
        start("worker", {"KAFKA__BOOTSTRAP": broker.sasl, **settings(PASSWORD)}),
        start("worker", {"KAFKA__BOOTSTRAP": broker.tls, **named}),
    ]

    for service in both:
        service.wait_ready()
    assert [service.stop()[0] for service in both] == [0, 0]


def settings(password: str) -> dict[str, str]:
    return {
        "KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA__SASL_MECHANISM": "PLAIN",
        "KAFKA__SASL_USERNAME": USER,
        "KAFKA__SASL_PASSWORD": password,
    }
