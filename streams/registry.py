"""Which schema stands behind an id, and which id a record has: the port and its choice.

records of the catalogue ─► register_all ─► Registry ─► ids ─► Codec
                                            ├── embedded_registry.py   over the schemas topic
                                            └── confluent_registry.py  any other one, by its URL
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from domain.errors import NotFound, Unavailable
from schemas import catalogue
from schemas.codec import Codec
from schemas.levels import Level, level_of
from streams.connection import Connection
from streams.topics import Topics

Latest = Literal["latest"]


@dataclass(frozen=True, slots=True)
class Registered:
    """A schema in its place; the same schema has the same id in every subject."""

    subject: str
    version: int
    id: int
    schema: str


class Registry(ABC):
    """Answers from memory; only an unknown id is looked for where the schemas are kept."""

    def __init__(self, topics: Topics) -> None:
        self.topics = topics

    @abstractmethod
    def subjects(self) -> Sequence[str]:
        """All subjects, sorted."""

    @abstractmethod
    def versions(self, subject: str) -> Sequence[int]:
        """The versions of a subject, ascending; none where there is no such subject."""

    @abstractmethod
    def version(self, subject: str, version: int | Latest) -> Registered:
        """One version of a subject. Raises NotFound."""

    @abstractmethod
    def find(self, subject: str, schema: str) -> Registered | None:
        """The newest version of `subject` that is `schema`, however it is written."""

    @abstractmethod
    def schema(self, schema_id: int) -> str | None:
        """The schema text of an id. Raises Unavailable where it cannot be looked for."""

    @abstractmethod
    def places(self, schema_id: int) -> Sequence[Registered]:
        """Every subject and version that has this id."""

    @abstractmethod
    def register(self, schemas: Mapping[str, str]) -> Sequence[Registered]:
        """Register a schema per subject; returns those that are new. Raises Unavailable."""

    def ids(self) -> dict[str, int]:
        """The id of each record of the catalogue. Raises Unavailable where one is missing."""
        found: dict[str, int] = {}
        for subject, name in record_subjects(self.topics).items():
            registered = self.find(subject, catalogue.committed(name))
            if registered is None:
                raise Unavailable(
                    "topics.wrong",
                    f"the schema of {name} is not registered as {subject}; "
                    "run `flexcore topics apply` with this release",
                    subject=subject,
                )
            found[name] = registered.id
        return found

    def level(self, subject: str) -> Level | None:
        """What the versions of a subject are held to; `None` for a subject that is none of ours."""
        start = f"{self.topics.prefix}."
        topic, _, name = subject.removeprefix(start).partition("-")
        return level_of(topic) if name and subject.startswith(start) else None

    def codec(self) -> Codec:
        """A codec for the records of the catalogue that asks here for ids it does not know."""
        return Codec(self.ids(), self.schema)


def load_registry(connection: Connection, topics: Topics, url: str | None = None) -> Registry:
    """The registry at `url`, or the embedded one, read to its end. Raises Unavailable."""
    # Imported here: the adapters import the port, and the external client takes a second to load.
    if url is not None:
        from streams.confluent_registry import ConfluentRegistry

        return ConfluentRegistry(topics, url)
    from streams.embedded_registry import EmbeddedRegistry

    return EmbeddedRegistry(connection, topics)


def record_subjects(topics: Topics) -> dict[str, str]:
    """The full name of each record of the catalogue by its subject, `<topic>-<full name>`."""
    return {
        f"{topics.prefix}.{record.topic}-{name}": name
        for name, record in catalogue.records().items()
    }


def register_all(registry: Registry, topics: Topics) -> list[str]:
    """Register every record of the catalogue; returns the subjects that got a new version."""
    wanted = {
        subject: catalogue.committed(name) for subject, name in record_subjects(topics).items()
    }
    return [registered.subject for registered in registry.register(wanted)]


def canonical(schema: str) -> str:
    """The same text for the same schema, however it is spaced and its attributes are ordered.

    Raises ValueError for a text that is no JSON.
    """
    try:
        return json.dumps(json.loads(schema), sort_keys=True, separators=(",", ":"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def no_version(subject: str, version: int | Latest) -> NotFound:
    return NotFound(
        "schema.not_found",
        f"subject {subject!r} has no version {version}",
        subject=subject,
        version=version,
    )
