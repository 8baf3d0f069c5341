"""The registry of another party, by its REST interface and Confluent's client.

records ─► ConfluentRegistry ─► HTTP ─► the other party, which keeps and checks the schemas
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from domain.errors import Unavailable
from streams.registry import Latest, Registered, Registry, no_version
from streams.topics import Topics

T = TypeVar("T")

_REQUEST_S = 10.0


class ConfluentRegistry(Registry):
    """User and password, where needed, stand in the URL; threads may share one."""

    def __init__(self, topics: Topics, url: str) -> None:
        super().__init__(topics)
        self._client = SchemaRegistryClient.new_client({"url": url, "timeout": _REQUEST_S})

    def subjects(self) -> Sequence[str]:
        return sorted(_asked(self._client.get_subjects) or ())

    def versions(self, subject: str) -> Sequence[int]:
        return sorted(_asked(lambda: self._client.get_versions(subject)) or ())

    def version(self, subject: str, version: int | Latest) -> Registered:
        def look() -> Registered:
            if version == "latest":
                found = self._client.get_latest_version(subject)
            else:
                found = self._client.get_version(subject, version)
            return _registered(subject, found)

        registered = _asked(look)
        if registered is None:
            raise no_version(subject, version)
        return registered

    def find(self, subject: str, schema: str) -> Registered | None:
        def look() -> Registered:
            return _registered(subject, self._client.lookup_schema(subject, _avro(schema)))

        return _asked(look)

    def schema(self, schema_id: int) -> str | None:
        return _asked(lambda: self._client.get_schema(schema_id).schema_str)

    def places(self, schema_id: int) -> Sequence[Registered]:
        found = _asked(lambda: self._client.get_schema_versions(schema_id)) or ()
        return [
            self.version(place.subject, place.version)
            for place in found
            if place.subject is not None and place.version is not None
        ]

    def register(self, schemas: Mapping[str, str]) -> Sequence[Registered]:
        new = []
        for subject, schema in schemas.items():
            if self.find(subject, schema) is None:
                _asked(partial(self._client.register_schema, subject, _avro(schema)))
                registered = self.find(subject, schema)
                assert registered is not None, f"{subject} was registered and is not found"
                new.append(registered)
        return new


def _avro(schema: str) -> Schema:
    return Schema(schema, "AVRO")


def _registered(subject: str, found: Any) -> Registered:
    return Registered(subject, found.version, found.schema_id, found.schema.schema_str)


def _asked(ask: Callable[[], T]) -> T | None:
    """The answer, `None` where there is no such thing. Raises Unavailable."""
    try:
        return ask()
    except SchemaRegistryError as error:
        if error.http_status_code == 404:
            return None
        raise Unavailable(
            "broker.unavailable", f"the schema registry refuses: {error.error_message}"
        ) from error
    except httpx2.TransportError as error:
        raise Unavailable("broker.unavailable", f"no answer from the registry: {error}") from error
