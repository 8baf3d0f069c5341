"""What steps may reach beside files: a database, a broker, hosts of the network.

Secrets stand in files that a step reads when it needs them: argv, environment and logs have other readers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import orjson

from domain.errors import Invalid

Plain = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """As the worker's settings allow it; the default is nothing but public hosts.

    `data_url_file`: holds the URL of the database for pipeline data; `kafka_file`: holds librdkafka's
    settings as JSON; `reserved_topics`: how the names of topics begin that no step may write to;
    `hosts`: `host` or `host:port`, which may be reached wherever they are.
    """

    data_url_file: Path | None = None
    kafka_file: Path | None = None
    reserved_topics: str = "flexcore."
    hosts: tuple[str, ...] = ()

    def data_url(self) -> str:
        """The database for pipeline data; raises `Invalid` (`plugin.no_database`)."""
        if self.data_url_file is None:
            raise Invalid("plugin.no_database", "no database is configured for pipeline data")
        return self.data_url_file.read_text().strip()

    def kafka(self) -> dict[str, str]:
        """librdkafka's settings for a broker; raises `Invalid` (`plugin.no_kafka`)."""
        if self.kafka_file is None:
            raise Invalid(
                "plugin.no_kafka",
                "no broker is configured for steps; set FLEXCORE__STEPS__KAFKA__BOOTSTRAP",
            )
        return cast(dict[str, str], orjson.loads(self.kafka_file.read_bytes()))

    def to_json(self) -> Plain:
        """The form in which it travels to the children."""
        return {
            "data_url_file": _text(self.data_url_file),
            "kafka_file": _text(self.kafka_file),
            "reserved_topics": self.reserved_topics,
            "hosts": list(self.hosts),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> "Outside":
        return cls(
            data_url_file=_path(value["data_url_file"]),
            kafka_file=_path(value["kafka_file"]),
            reserved_topics=str(value["reserved_topics"]),
            hosts=tuple(cast(list[str], value["hosts"])),
        )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


def _path(value: object) -> Path | None:
    return None if value is None else Path(str(value))
