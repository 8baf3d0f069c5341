"""The containers of docker-compose.kafka.yml behave as the embedded servers do."""

import yaml

from services.embedded import jars
from services.embedded.jars import ROOT
from services.embedded.kafka_config import SETTINGS

COMPOSE = yaml.safe_load((ROOT / "docker-compose.kafka.yml").read_text())


def test_the_broker_in_a_container_has_the_settings_of_the_embedded_one() -> None:
    environment = COMPOSE["services"]["kafka"]["environment"]

    expected = {"KAFKA_" + name.upper().replace(".", "_"): SETTINGS[name] for name in SETTINGS}
    assert {name: environment.get(name) for name in expected} == expected


def test_the_broker_in_a_container_has_the_version_of_the_locked_jars() -> None:
    version = COMPOSE["services"]["kafka"]["image"].rpartition(":")[2]

    assert f"kafka-clients-{version}.jar" in {jar.name for jar in jars.read_lock()}
