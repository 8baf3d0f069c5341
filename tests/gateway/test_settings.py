"""Settings: where they come from, which one wins, and what a mistake is told."""

import socket
from pathlib import Path

import pytest

from domain.errors import Invalid
from gateway.settings import Settings, Worker, read


def test_without_anything_set_the_stack_is_embedded_and_on_loopback() -> None:
    settings = read({})

    assert settings == Settings()
    assert settings.kafka.bootstrap is None
    assert settings.database.url is None
    assert (settings.api.host, settings.api.port) == ("127.0.0.1", 8350)


def test_the_environment_sets_sections() -> None:
    settings = read({"FLEXCORE__KAFKA__BOOTSTRAP": "broker:9092", "FLEXCORE__WORKER__SLOT": "3"})

    assert settings.kafka.bootstrap == "broker:9092"
    assert settings.worker.slot == 3


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_profile(
    tmp_path: Path,
) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text("kafka: {partitions: 2, prefix: low}\napi: {port: 1}\n")
    environment = {
        "FLEXCORE__PROFILE": str(profile),
        "FLEXCORE__KAFKA__PARTITIONS": "4",
        "FLEXCORE__API__PORT": "2",
    }

    settings = read(environment, flags={"api": {"port": 3}})

    assert settings.kafka.prefix == "low"
    assert settings.kafka.partitions == 4
    assert settings.api.port == 3


def test_a_flag_that_was_not_given_changes_nothing() -> None:
    assert read({"FLEXCORE__API__PORT": "2"}, flags={"api": {"port": None}}).api.port == 2


def test_a_secret_may_come_from_a_file_and_is_never_printed(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://user:hidden@db/flexcore\n")

    settings = read({"FLEXCORE__DATABASE__URL_FILE": str(secret)})

    assert settings.database.url is not None
    assert settings.database.url.get_secret_value() == "postgresql://user:hidden@db/flexcore"
    assert "hidden" not in repr(settings)


def test_an_unknown_setting_names_the_nearest_one() -> None:
    with pytest.raises(Invalid, match="nearest is FLEXCORE__KAFKA__BOOTSTRAP") as refused:
        read({"FLEXCORE__KAFKA__BOOTSTRAP_SERVERS": "x"})

    assert refused.value.code == "settings.invalid"


def test_an_unknown_setting_in_the_profile_is_refused(tmp_path: Path) -> None:
    profile = tmp_path / "profile.yaml"
    profile.write_text("kafka: {bootstrp: x}\n")

    with pytest.raises(Invalid, match="FLEXCORE__KAFKA__BOOTSTRP"):
        read({"FLEXCORE__PROFILE": str(profile)})


def test_a_wrong_value_is_refused_without_repeating_it() -> None:
    with pytest.raises(Invalid, match=r"FLEXCORE__KAFKA__PARTITIONS: .*integer") as refused:
        read({"FLEXCORE__KAFKA__PARTITIONS": "many"})

    assert "many" not in refused.value.message


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="DATABASE__URL_FILE names a file that cannot be read"):
        read({"FLEXCORE__DATABASE__URL_FILE": str(tmp_path / "none")})


def test_other_programs_variables_are_left_alone() -> None:
    assert read({"FLEXCORE_PYTHON": "x", "KAFKA__BOOTSTRAP": "y"}) == Settings()


def test_a_secured_cluster_gives_librdkafka_names() -> None:
    settings = read(
        {
            "FLEXCORE__KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "FLEXCORE__KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
            "FLEXCORE__KAFKA__SASL_USERNAME": "worker",
            "FLEXCORE__KAFKA__SASL_PASSWORD": "p",
        }
    )

    assert settings.kafka.security() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "worker",
        "sasl.password": "p",
    }
    assert Settings().kafka.security() == {}


@pytest.mark.parametrize(("text", "standby"), [("all", "all"), ("1", 1), ("999", 999)])
def test_standbys_are_all_or_a_number(text: str, standby: int | str) -> None:
    assert read({"FLEXCORE__WORKER__STANDBY": text}).worker.standby == standby


@pytest.mark.parametrize("text", ["-1", "none", "1.5", "", "0", "1000"])
def test_another_number_of_standbys_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(Invalid, match=r"FLEXCORE__WORKER__STANDBY: .*must be all, or a number"):
        read({"FLEXCORE__WORKER__STANDBY": text})


@pytest.mark.parametrize(
    ("listens", "advertised", "reached"),
    [
        ("127.0.0.1", None, "127.0.0.1"),
        ("0.0.0.0", None, socket.gethostname()),
        ("::", None, socket.gethostname()),
        ("::1", None, "[::1]"),
        ("0.0.0.0", "worker-0.worker", "worker-0.worker"),
    ],
)
def test_others_reach_a_process_by_a_name_and_never_by_a_wildcard(
    listens: str, advertised: str | None, reached: str
) -> None:
    assert Worker(web_host=listens, advertised_host=advertised).reached_at == reached
