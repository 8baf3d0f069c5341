"""FlexCore's settings: flag > FLEXCORE__SECTION__KEY > profile file > default; secrets also by *_FILE.

FLEXCORE__KAFKA__BOOTSTRAP=host:9092         one setting
FLEXCORE__DATABASE__URL_FILE=/run/secrets/db its value is the file's content
FLEXCORE__PROFILE=production.yaml            a file with the same sections, as YAML
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
)

from domain.errors import Invalid
from gateway.settings_sources import merged

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Port = Annotated[int, Field(ge=0, le=65535)]


def _standby(value: object) -> int | Literal["all"]:
    if value == "all":
        return "all"
    text = str(value)
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:4]) < 1_000):
        raise ValueError("must be all, or a number of standbys from 1 to 999")
    return int(text)


Standby = Annotated[int | Literal["all"], PlainValidator(_standby)]


def _hosts(value: object) -> object:
    if isinstance(value, str):
        return [host.lower() for part in value.split(",") if (host := part.strip())]
    return value


Hosts = Annotated[tuple[str, ...], BeforeValidator(_hosts)]


def _names(value: object) -> object:
    if isinstance(value, str):
        return [name for part in value.split(",") if (name := part.strip())]
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Broker(_Section):
    """How a broker is reached."""

    bootstrap: str | None
    security_protocol: SecurityProtocol = "PLAINTEXT"
    """how the broker is spoken to"""
    sasl_mechanism: str | None = None
    """such as SCRAM-SHA-512, with SASL"""
    sasl_username: str | None = None
    """with SASL"""
    sasl_password: SecretStr | None = None
    """with SASL"""
    ssl_ca_location: Path | None = None
    """file with the certificates that the broker's is checked by"""

    def security(self) -> dict[str, str]:
        """What librdkafka needs beside the address, under its names; empty for a plain connection."""
        password = self.sasl_password.get_secret_value() if self.sasl_password else None
        given = {
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": password,
            "ssl.ca.location": None if self.ssl_ca_location is None else str(self.ssl_ca_location),
        }
        found = {name: value for name, value in given.items() if value is not None}
        if self.security_protocol == "PLAINTEXT" and not found:
            return {}
        return {"security.protocol": self.security_protocol, **found}


class Kafka(Broker):
    """The broker, and FlexCore's topics on it."""

    bootstrap: str | None = None
    """host:port of a broker; without it the embedded Kafka is used"""
    partitions: Annotated[int, Field(ge=1, le=1024)] = 8
    """of each topic, chosen when the topics are made and never changed"""
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "flexcore"
    """what the names of topics and groups begin with"""
    replication_factor: Annotated[int, Field(ge=1)] = 1
    """copies of each partition, when the topics are made"""


class StepsKafka(Broker):
    """The broker that kafka_write produces to."""

    bootstrap: str | None = None
    """host:port of a broker; without it FlexCore's own is used where that asks for no credentials"""


class Database(_Section):
    """PostgreSQL: the read models, and the tables of pipelines."""

    url: SecretStr | None = None
    """postgresql://… of the read models; without it the embedded PostgreSQL is used"""
    data_url: SecretStr | None = None
    """postgresql://… that postgres_write writes to, of a role of its own"""


class Registry(_Section):
    """The schema registry."""

    url: str | None = None
    """of a Confluent-compatible one; without it schemas live in a topic and the api serves them"""


class Api(_Section):
    """The REST api."""

    host: str = "127.0.0.1"
    """address that it listens on"""
    port: Port = 8350
    """port that it listens on; 0 = any free one"""
    requests_per_s: Annotated[int, Field(ge=0)] = 1_000
    """requests a second of one address, and as many in a burst; 0 = any number"""
    at_once: Annotated[int, Field(ge=1)] = 1_000
    """requests that are answered at the same time; those over it are asked to come again"""


class Pages(_Section):
    """A process whose pages the other processes of a stack read."""

    web_host: str = "127.0.0.1"
    """address that its pages listen on; where the others are on other machines, 0.0.0.0"""
    advertised_host: str | None = None
    """name or address that others reach them by (default: what it listens on; of 0.0.0.0, this
    machine's name)"""

    @property
    def reached_at(self) -> str:
        """The host that stands in this process's URL."""
        host = self.advertised_host or self.web_host
        if host in ("0.0.0.0", "::"):  # noqa: S104  (compared, not bound)
            host = socket.gethostname()
        return f"[{host}]" if ":" in host else host


class Worker(Pages):
    """The workers, which judge commands and run steps."""

    slot: Annotated[int | None, Field(ge=0)] = None
    """number of this worker, unique among those that run (default: the lowest free one)"""
    session_timeout_s: Annotated[float, Field(gt=0)] = 6.0
    """seconds without a sign of life until others take a worker's partitions"""
    web_port: Port = 0
    """port of its health page and of reads of aggregates; 0 = any free one"""
    standby: Standby = "all"
    """partitions that its index holds: all, or those it owns and those it is one of so many standbys
    for; the same for all workers, since the group's leader decides"""


class Projector(Pages):
    """The projector, which builds the read models."""

    web_port: Port = 6066
    """port of the table views; 0 = any free one"""
    url: str | None = None
    """base URL by which the api reaches any projector (default: the one that runs over its data folder)"""


class Files(_Section):
    """Files of pipelines."""

    root: Path | None = None
    """folder that their paths are relative to and never leave (default: where the stack was started)"""


class Steps(_Section):
    """What steps may reach in the network."""

    kafka: StepsKafka = StepsKafka()
    http_hosts: Hosts = ()
    """host or host:port, with commas between them, that http_get may reach wherever they are; others
    only where they are public, on ports 80 and 443"""


class Handlers(_Section):
    """Who is called when events come: functions of your own, and webhooks."""

    modules: Names = ()
    """Python modules with handlers, with commas between them; they run inside the worker, with all
    its rights"""
    webhooks_file: Path | None = None
    """YAML file that says which events are posted where"""
    webhook_hosts: Hosts = ()
    """host or host:port, with commas between them, that webhooks may reach wherever they are; others
    only where they are public, on ports 80 and 443"""


class Embedded(_Section):
    """The embedded Kafka."""

    maven_url: str | None = None
    """Maven repository that its jars come from"""


class Settings(_Section):
    """All settings, checked; `Settings()` holds the defaults alone, `read()` what the user set."""

    kafka: Kafka = Kafka()
    database: Database = Database()
    registry: Registry = Registry()
    api: Api = Api()
    worker: Worker = Worker()
    projector: Projector = Projector()
    files: Files = Files()
    steps: Steps = Steps()
    handlers: Handlers = Handlers()
    embedded: Embedded = Embedded()
    data_dir: Path = Path(".flexcore")
    """folder of the embedded servers, of indexes and of logs"""


def read(
    environment: Mapping[str, str] | None = None, *, flags: Mapping[str, Any] | None = None
) -> Settings:
    """The settings in force; `flags` are sections with what the command line set.

    Raises `Invalid` (`settings.invalid`), which names the setting and, for an unknown one, the nearest.
    """
    found = merged(Settings, os.environ if environment is None else environment, flags or {})
    try:
        return Settings.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "__".join(["FLEXCORE", *(str(part).upper() for part in first["loc"])])
        raise Invalid(
            "settings.invalid", f"{name}: {first['msg']}", setting=name, problem=first["msg"]
        ) from None
