"""What stands in the registry under a subject and version, or the error that its clients know."""

from domain.errors import NotFound
from gateway.rest.registry_form import (
    INVALID_SCHEMA,
    INVALID_VERSION,
    SUBJECT_NOT_FOUND,
    VERSION_NOT_FOUND,
    RegistryError,
    SchemaIn,
)
from streams.registry import Latest, Registered, Registry


def versions_of(registry: Registry, subject: str) -> list[int]:
    """Ascending. Raises RegistryError where there is no such subject."""
    found = list(registry.versions(subject))
    if not found:
        raise RegistryError(SUBJECT_NOT_FOUND, f"Subject {subject!r} not found.")
    return found


def version_of(registry: Registry, subject: str, version: str) -> Registered:
    """Raises RegistryError where the number is none, or the subject or the version is not there."""
    number = version_number(version)
    versions_of(registry, subject)
    try:
        return registry.version(subject, number)
    except NotFound as error:
        raise RegistryError(VERSION_NOT_FOUND, f"Version {version} not found.") from error


def version_number(version: str) -> int | Latest:
    """Raises RegistryError for what is no version."""
    # -1 is how some clients ask for the latest.
    if version in ("latest", "-1"):
        return "latest"
    if version.isascii() and version.isdecimal() and 0 < int(version[:12]) < 2**31:
        return int(version)
    raise RegistryError(
        INVALID_VERSION,
        f"The specified version {version[:40]!r} is not a valid version id. "
        "Allowed values are between [1, 2^31-1] and the string 'latest'",
    )


def found_as(registry: Registry, subject: str, body: SchemaIn) -> Registered | None:
    """The newest version that is the schema in `body`. Raises RegistryError for no Avro."""
    try:
        return registry.find(subject, body.avro())
    except ValueError as error:
        raise RegistryError(INVALID_SCHEMA, "the schema is no JSON") from error
