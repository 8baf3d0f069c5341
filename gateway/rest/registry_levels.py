"""To which level a subject is held, and whether a schema would keep to it.

GET PUT DELETE  /config[/{subject}]   /mode[/{subject}]      only what holds already can be set
POST            /compatibility/subjects/{subject}/versions[/{n}|/latest]
"""

from collections.abc import Sequence
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Path
from pydantic import BaseModel

from gateway.rest.registry_form import (
    INVALID_LEVEL,
    INVALID_MODE,
    INVALID_SCHEMA,
    LEVEL_NOT_CONFIGURED,
    MODE_NOT_CONFIGURED,
    VERSION_NOT_FOUND,
    RegistryError,
    SchemaIn,
    ToGlobal,
    read_only,
)
from gateway.rest.registry_places import version_number, version_of, versions_of
from schemas.compatibility import breaks, parsed
from schemas.levels import Level
from streams.registry import Registered, Registry

GLOBAL: Level = "BACKWARD_TRANSITIVE"
"""What a subject without a level of its own would be held to; every one of FlexCore's has one."""
MODE = "READONLY"
_MODES = ("READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT", "FORWARD")


class ConfigIn(BaseModel):
    """Other settings than the level, such as rules, are not held here."""

    compatibility: str | None = None


class ModeIn(BaseModel):
    """A mode as clients send it."""

    mode: str


def add_levels(router: APIRouter, registry: Registry) -> None:
    """The routes under /config."""

    @router.get("/config")
    def config() -> dict[str, Any]:
        return {"compatibilityLevel": GLOBAL}

    @router.put("/config")
    def set_config(body: ConfigIn) -> dict[str, Any]:
        return _kept(body, GLOBAL)

    @router.delete("/config")
    def delete_config() -> dict[str, Any]:
        raise read_only("the level is not changed from here")

    @router.get("/config/{subject}")
    def subject_config(subject: str, to_global: ToGlobal = False) -> dict[str, Any]:
        level = _level(registry, subject) or (GLOBAL if to_global else None)
        if level is None:
            raise RegistryError(
                LEVEL_NOT_CONFIGURED,
                f"Subject {subject!r} does not have subject-level compatibility configured",
            )
        return {"compatibilityLevel": level}

    @router.put("/config/{subject}")
    def set_subject_config(subject: str, body: ConfigIn) -> dict[str, Any]:
        return _kept(body, _level(registry, subject))

    @router.delete("/config/{subject}")
    def delete_subject_config(subject: str) -> dict[str, Any]:
        versions_of(registry, subject)
        raise read_only(f"the level of {subject!r} is not changed from here")


def add_modes(router: APIRouter, registry: Registry) -> None:
    """The routes under /mode."""

    @router.get("/mode")
    def mode() -> dict[str, Any]:
        return {"mode": MODE}

    @router.put("/mode")
    def set_mode(body: ModeIn) -> dict[str, Any]:
        return _kept_mode(body)

    @router.delete("/mode")
    def delete_mode() -> dict[str, Any]:
        raise read_only("the mode is not changed from here")

    @router.get("/mode/{subject}")
    def subject_mode(subject: str, to_global: ToGlobal = False) -> dict[str, Any]:
        if not to_global and not registry.versions(subject):
            raise RegistryError(
                MODE_NOT_CONFIGURED,
                f"Subject {subject!r} does not have subject-level mode configured",
            )
        return {"mode": MODE}

    @router.put("/mode/{subject}")
    def set_subject_mode(
        _subject: Annotated[str, Path(alias="subject")], body: ModeIn
    ) -> dict[str, Any]:
        return _kept_mode(body)

    @router.delete("/mode/{subject}")
    def delete_subject_mode(subject: str) -> dict[str, Any]:
        versions_of(registry, subject)
        raise read_only(f"the mode of {subject!r} is not changed from here")


def add_compatibility(router: APIRouter, registry: Registry) -> None:
    """The routes under /compatibility; as in Confluent's, a subject without versions takes anything."""

    @router.post("/compatibility/subjects/{subject}/versions")
    def with_all(subject: str, body: SchemaIn, verbose: bool = False) -> dict[str, Any]:
        older = [registry.version(subject, version) for version in registry.versions(subject)]
        return _compared(registry, subject, body, older, verbose=verbose)

    @router.post("/compatibility/subjects/{subject}/versions/{version}")
    def with_one(
        subject: str, version: str, body: SchemaIn, verbose: bool = False
    ) -> dict[str, Any]:
        number = version_number(version)
        older: list[Registered] = []
        if registry.versions(subject):
            older = [version_of(registry, subject, version)]
        elif number != "latest":
            raise RegistryError(VERSION_NOT_FOUND, f"Version {version} not found.")
        return _compared(registry, subject, body, older, verbose=verbose)


def _compared(
    registry: Registry, subject: str, body: SchemaIn, older: Sequence[Registered], *, verbose: bool
) -> dict[str, Any]:
    text = body.avro()
    try:
        new = parsed(text)
        known = [(one.version, parsed(one.schema)) for one in older]
        found = [str(one) for one in breaks(new, known, _level(registry, subject) or GLOBAL)]
    except ValueError as error:
        if not verbose:
            raise RegistryError(INVALID_SCHEMA, str(error)) from error
        found = [str(error)]
    answer: dict[str, Any] = {"is_compatible": not found}
    return {**answer, "messages": found} if verbose else answer


def _level(registry: Registry, subject: str) -> Level | None:
    return registry.level(subject) if registry.versions(subject) else None


def _kept(body: ConfigIn, level: Level | None) -> dict[str, Any]:
    """What holds already may be set; anything else is refused."""
    wanted = (body.compatibility or "").upper()
    if body.compatibility is not None and wanted not in get_args(Level):
        raise RegistryError(
            INVALID_LEVEL,
            f"Invalid compatibility level. Valid values are {', '.join(sorted(get_args(Level)))}",
        )
    if wanted != level:
        raise read_only("levels are not changed from here, each subject has that of its kind")
    return {"compatibility": wanted}


def _kept_mode(body: ModeIn) -> dict[str, Any]:
    wanted = body.mode.upper()
    if wanted not in _MODES:
        raise RegistryError(INVALID_MODE, f"Invalid mode. Valid values are {', '.join(_MODES)}")
    if wanted != MODE:
        raise read_only("the mode is not changed from here")
    return {"mode": wanted}
