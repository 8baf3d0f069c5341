"""FlexCore's settings: flag > FLEXCORE__SECTION__KEY > profile file > default; secrets also by *_FILE.

FLEXCORE__KAFKA__BOOTSTRAP=host:9092         one setting
FLEXCORE__DATABASE__URL_FILE=/run/secrets/db its value is the file's content
FLEXCORE__PROFILE=production.yaml            a file with the same sections, as YAML
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, SecretStr, ValidationError

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


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kafka(_Section):
    """Without `bootstrap` the embedded Kafka is used."""

    bootstrap: str | None = None
    partitions: Annotated[int, Field(ge=1, le=1024)] = 8
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "flexcore"
    replication_factor: Annotated[int, Field(ge=1)] = 1
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: Path | None = None

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


class Database(_Section):
    """Without `url` the embedded PostgreSQL is used; `data_url` is what `postgres_write` writes to."""

    url: SecretStr | None = None
    data_url: SecretStr | None = None


class Registry(_Section):
    """Without `url` schemas live in a topic and the API serves them."""

    url: str | None = None


class Api(_Section):
    """Where the REST API listens."""

    host: str = "127.0.0.1"
    port: Port = 8350


class Worker(_Section):
    """`slot` is unique per running worker (default: the lowest free one); `web_port` 0 = any free one.

    `standby`: a worker's index holds `all` partitions, or those it owns and those that it is one of
    so many standbys for; the same for all workers, since the group's leader decides.
    """

    slot: Annotated[int | None, Field(ge=0)] = None
    session_timeout_s: Annotated[float, Field(gt=0)] = 6.0
    web_port: Port = 0
    standby: Standby = "all"


class Projector(_Section):
    """The port of the table views."""

    web_port: Port = 6066


class Files(_Section):
    """Pipelines' paths are relative to `root` (default: where the stack was started) and never leave it."""

    root: Path | None = None


class Embedded(_Section):
    """`maven_url` names the Maven repository that Kafka's jars come from."""

    maven_url: str | None = None


class Settings(_Section):
    """All settings, checked; `Settings()` holds the defaults alone, `read()` what the user set."""

    kafka: Kafka = Kafka()
    database: Database = Database()
    registry: Registry = Registry()
    api: Api = Api()
    worker: Worker = Worker()
    projector: Projector = Projector()
    files: Files = Files()
    embedded: Embedded = Embedded()
    data_dir: Path = Path(".flexcore")


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
