"""What keeps a service from starting is said once, with what to do, and by an exit code."""

import socket
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
)

from projections import migrate
from services.slots import slot
from streams import topics_admin
from streams.connection import Connection
from streams.topics import Topics
from tests.faults.mounted import fill, mounted
from tests.services.running_service import ENDS_WITHIN_S, PORT_OF, ROLES, Start

pytestmark = pytest.mark.timeout(900)

NOBODY = "127.0.0.1:1"
NO_DATABASE = "postgresql://ann:hush@127.0.0.1:1/nothing"
NOWHERE = {"KAFKA__BOOTSTRAP": NOBODY, "DATABASE__URL": NO_DATABASE}


@pytest.fixture
def settings(kafka: str, kafka_prefix: str) -> dict[str, str]:
    """Topics that are as they should be, and no database."""
    topics_admin.apply(Connection(kafka), Topics(kafka_prefix), partitions=2)
    return {"KAFKA__BOOTSTRAP": kafka, "KAFKA__PREFIX": kafka_prefix, "DATABASE__URL": NO_DATABASE}


# ── before anything else is looked at ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("role", "settings", "expected"),
    [
        (
            "api",
            {"API__PROT": "1"},
            ("FLEXCORE__API__PROT is no setting", "", "the nearest is FLEXCORE__API__PORT"),
        ),
        (
            "worker",
            {"KAFKA__PARTITIONS": "eight"},
            (
                "FLEXCORE__KAFKA__PARTITIONS: Input should be a valid integer, "
                "unable to parse string as an integer",
                "",
                "correct it; `flexcore config list` shows every setting",
            ),
        ),
        (
            "worker",
            {},
            (
                "the worker cannot start",
                "FLEXCORE__KAFKA__BOOTSTRAP is not set",
                "set it; `flexcore dev` starts all services with everything set",
            ),
        ),
        (
            "projector",
            {"KAFKA__BOOTSTRAP": NOBODY, "DATABASE__URL": "mysql://ann:hush@host/db"},
            (
                "FLEXCORE__DATABASE__URL is no address of a PostgreSQL",
                "",
                "write postgresql://user:password@host:port/database",
            ),
        ),
        (
            "api",
            {**NOWHERE, "KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "KAFKA__SASL_MECHANISM": "NONE"},
            (
                "the settings of Kafka cannot be used",
                "Unsupported SASL mechanism: NONE",
                "correct FLEXCORE__KAFKA__SECURITY_PROTOCOL and what belongs to it",
            ),
        ),
    ],
    ids=["unknown", "no number", "missing", "another database", "no such mechanism"],
)
def test_settings_that_cannot_be_used_end_a_service_with_7(
    start: Start, role: str, settings: dict[str, str], expected: tuple[str, str, str]
) -> None:
    service = start(role, settings)

    assert service.refusal() == (7, ("settings.invalid", *expected))
    assert "hush" not in service.log.read_text()


def test_a_port_that_is_taken_is_named_with_the_setting_that_changes_it(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        services = {role: start(role, NOWHERE, port=port) for role in ROLES}
        found = {role: service.refusal() for role, service in services.items()}

    for role, setting in PORT_OF.items():
        what = f"cannot listen on 127.0.0.1:{port}"
        fix = f"stop what uses it, or set FLEXCORE__{setting}"
        assert found[role] == (6, ("stack.failed", what, "Address already in use", fix))


# ── Kafka ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_broker_that_nobody_runs_is_waited_for_and_then_named(start: Start) -> None:
    waiting = {role: start(role, NOWHERE) for role in ROLES}
    ended = start("api", NOWHERE)
    ended.wait_said("kafka_client_error")

    code, took_s = ended.stop()
    found = {role: service.refusal() for role, service in waiting.items()}

    # Told to end while it waits: no sooner than the broker's answer to one request is given up.
    assert (code, took_s < ENDS_WITHIN_S) == (0, True)
    cause = f"{NOBODY}/bootstrap: Connect to ipv4#{NOBODY} failed: Connection refused"
    fix = "start it, or correct FLEXCORE__KAFKA__BOOTSTRAP"
    what = f"Kafka at {NOBODY} does not serve"
    assert found == dict.fromkeys(ROLES, (6, ("broker.unavailable", what, cause, fix)))


@pytest.mark.kafka
def test_topics_with_another_cleanup_policy_are_refused_with_the_command_that_tells_more(
    start: Start, kafka: str, kafka_prefix: str
) -> None:
    topics = Topics(kafka_prefix)
    topics_admin.apply(Connection(kafka), topics, partitions=2)
    wrong = topics.events("pipeline")
    delete = ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, wrong, incremental_configs=[delete])
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
    admin.create_partitions([NewPartitions(wrong, 3)])[wrong].result()
    admin.incremental_alter_configs([resource])[resource].result()

    service = start("worker", {"KAFKA__BOOTSTRAP": kafka, "KAFKA__PREFIX": kafka_prefix})
    code, (name, what, cause, fix) = service.refusal()

    assert (code, name, what) == (6, "topics.wrong", "2 settings of topics differ")
    assert f"{wrong} has 3 partitions, not 2" in cause
    assert f"{wrong} has cleanup.policy=delete, not compact" in cause
    assert "flexcore topics apply" in fix


# ── the data folder ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("role", ["worker", "projector"])
def test_a_data_folder_that_cannot_be_written_is_named(
    start: Start, settings: dict[str, str], tmp_path: Path, role: str
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"

    code, (name, what, cause, fix) = start(role, {**settings, "DATA_DIR": str(folder)}).refusal()

    assert (code, name, cause) == (6, "stack.failed", "Not a directory")
    assert what.startswith(str(folder))
    assert what.endswith(" cannot be written")
    assert fix.startswith("make it writable, or choose another folder")


@pytest.mark.kafka
def test_a_full_disk_is_named(start: Start, settings: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "small"
    with mounted(folder, 1) as small:
        if not small:
            pytest.skip("no file system may be mounted here, so that none can be full")
        with fill(folder):
            code, (name, what, cause, _) = start(
                "worker", {**settings, "DATA_DIR": str(folder)}
            ).refusal()

    assert (code, name, cause) == (6, "stack.failed", "its disk is full")
    assert what.startswith(str(folder))


@pytest.mark.kafka
def test_a_second_worker_on_a_slot_is_refused(
    start: Start, settings: dict[str, str], tmp_path: Path
) -> None:
    with slot(tmp_path / "data", 3):
        refused = start("worker", {**settings, "WORKER__SLOT": "3"}).refusal()

    what = "worker slot 3 is taken by a running worker"
    fix = "stop it, or leave FLEXCORE__WORKER__SLOT out to get a free one"
    assert refused == (6, ("stack.failed", what, "", fix))


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ("password", "password authentication failed for user"),
        ("database", 'database "no-such-database" does not exist'),
    ],
)
def test_a_projector_that_the_database_turns_away_says_why(
    start: Start, settings: dict[str, str], database: str, change: str, cause: str
) -> None:
    url = urlsplit(database)
    if change == "password":
        url = url._replace(netloc=f"{url.username}:hush@{url.hostname}:{url.port}")
    else:
        url = url._replace(path="/no-such-database")

    service = start("projector", {**settings, "DATABASE__URL": urlunsplit(url)})
    code, (name, what, told, fix) = service.refusal()

    assert (code, name, what) == (6, "stack.failed", "PostgreSQL turns the projector away")
    assert told.startswith(cause)
    assert fix == "correct FLEXCORE__DATABASE__URL"
    assert "hush" not in service.log.read_text()


@pytest.mark.kafka
@pytest.mark.postgres
def test_a_database_behind_the_code_is_refused_and_one_ahead_of_it_is_used(
    start: Start, settings: dict[str, str], database: str
) -> None:
    own = {**settings, "DATABASE__URL": database}
    behind = start("projector", own).refusal()
    migrate.upgrade(database)
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE flexcore.alembic_version SET version_num = '9999'")
    projector = start("projector", own)
    projector.wait_ready()

    what, cause = "the database has migration none", f"{migrate.NEWEST} is required"
    fix = "run `flexcore database migrate`"
    assert behind == (6, ("database.not_migrated", what, cause, fix))
    newer = [line for line in projector.lines() if line["event"] == "database_newer"]
    assert [(line["has"], line["ours"]) for line in newer] == [("9999", migrate.NEWEST)]


@pytest.mark.kafka
@pytest.mark.postgres
def test_an_api_with_a_wrong_password_goes_on_taking_commands_and_says_so_once(
    start: Start, settings: dict[str, str], database: str
) -> None:
    url = urlsplit(database)
    wrong = url._replace(netloc=f"{url.username}:hush@{url.hostname}:{url.port}")
    api = start("api", {**settings, "DATABASE__URL": urlunsplit(wrong)})
    api.wait_ready()
    api.wait_said("database_away")

    read = api.get("/v1/pipelines")

    assert (read.status, read.body["code"]) == (503, "database.unavailable")
    assert read.headers["retry-after"] == "1"
    said = [line for line in api.lines() if line["event"] == "database_away"]
    assert len(said) == 1
    assert "password authentication failed" in said[0]["what"]
    assert "hush" not in api.log.read_text()
    assert api.stop()[0] == 0
