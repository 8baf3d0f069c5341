"""The schema registry as Confluent's clients read it, under `/registry`.

GET     /subjects   /subjects/{subject}/versions[/{n}|/latest[/schema|/referencedby]]
        /schemas    /schemas/ids/{id}[/schema|/subjects|/versions]    /schemas/types    /contexts
POST    /subjects/{subject}              is this schema there?
        /subjects/{subject}/versions     its id if it is there; nothing new is taken from here
DELETE  /subjects/{subject}[/versions/{n}]     refused: what was written needs its schema for ever
levels, modes and compatibility: registry_levels.py
"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from gateway.rest.registry_form import (
    MEDIA_TYPE,
    SCHEMA_NOT_FOUND,
    DeletedOnly,
    LatestOnly,
    Limit,
    Offset,
    Prefix,
    RegistryError,
    RegistryResponse,
    RegistryRoute,
    SchemaIn,
    page,
    read_only,
)
from gateway.rest.registry_levels import add_compatibility, add_levels, add_modes
from gateway.rest.registry_places import found_as, version_of, versions_of
from streams.registry import Registered, Registry


def registry_router(registry: Registry) -> APIRouter:
    """The routes over `registry`; the application mounts them under `/registry`.

    The handlers are plain functions, so that a look into the log never holds up the event loop.
    """
    router = APIRouter(
        route_class=RegistryRoute, default_response_class=RegistryResponse, tags=["registry"]
    )
    _add_subjects(router, registry)
    _add_writes(router, registry)
    _add_schemas(router, registry)
    _add_associations(router)
    add_compatibility(router, registry)
    add_levels(router, registry)
    add_modes(router, registry)
    return router


def _add_subjects(router: APIRouter, registry: Registry) -> None:
    @router.get("/subjects")
    def subjects(
        prefix: Prefix = "",
        deleted_only: DeletedOnly = False,
        offset: Offset = 0,
        limit: Limit = -1,
    ) -> list[str]:
        found = [subject for subject in registry.subjects() if subject.startswith(prefix)]
        return [] if deleted_only else page(found, offset, limit)

    @router.get("/subjects/{subject}/versions")
    def versions(
        subject: str, deleted_only: DeletedOnly = False, offset: Offset = 0, limit: Limit = -1
    ) -> list[int]:
        found = versions_of(registry, subject)
        return [] if deleted_only else page(found, offset, limit)

    @router.get("/subjects/{subject}/versions/{version}")
    def version(subject: str, version: str) -> dict[str, Any]:
        return _shown(version_of(registry, subject, version))

    @router.get("/subjects/{subject}/versions/{version}/schema")
    def version_schema(subject: str, version: str) -> Response:
        return _text(version_of(registry, subject, version).schema)

    @router.get("/subjects/{subject}/versions/{version}/referencedby")
    def referenced_by(subject: str, version: str) -> list[int]:
        version_of(registry, subject, version)
        return []

    @router.post("/subjects/{subject}")
    def look_up(subject: str, body: SchemaIn) -> dict[str, Any]:
        versions_of(registry, subject)
        found = found_as(registry, subject, body)
        if found is None:
            raise RegistryError(SCHEMA_NOT_FOUND, "Schema not found")
        return _shown(found)


def _add_writes(router: APIRouter, registry: Registry) -> None:
    """Answered so that a client learns why; see docs/decisions.md."""

    @router.post("/subjects/{subject}/versions")
    def register(subject: str, body: SchemaIn) -> dict[str, Any]:
        found = found_as(registry, subject, body)
        if found is None:
            raise read_only(f"{subject!r} takes no schema from here, they come with a release")
        return {"id": found.id}

    @router.delete("/subjects/{subject}")
    def delete_subject(subject: str) -> list[int]:
        versions_of(registry, subject)
        raise read_only(f"{subject!r} is not deleted, what was written needs its schemas for ever")

    @router.delete("/subjects/{subject}/versions/{version}")
    def delete_version(subject: str, version: str) -> int:
        found = version_of(registry, subject, version)
        raise read_only(
            f"version {found.version} of {subject!r} is not deleted, "
            "what was written needs its schema for ever"
        )


def _add_schemas(router: APIRouter, registry: Registry) -> None:
    @router.get("/schemas")
    def schemas(
        prefix: Prefix = "", latest_only: LatestOnly = False, offset: Offset = 0, limit: Limit = -1
    ) -> list[dict[str, Any]]:
        found = [
            registry.version(subject, version)
            for subject in registry.subjects()
            if subject.startswith(prefix)
            for version in list(registry.versions(subject))[-1 if latest_only else 0 :]
        ]
        return [_shown(registered) for registered in page(found, offset, limit)]

    @router.get("/schemas/types")
    def types() -> list[str]:
        return ["AVRO"]

    @router.get("/schemas/ids/{schema_id}")
    def schema(schema_id: int) -> dict[str, Any]:
        return {"schema": _schema(registry, schema_id)}

    @router.get("/schemas/ids/{schema_id}/schema")
    def schema_text(schema_id: int) -> Response:
        return _text(_schema(registry, schema_id))

    @router.get("/schemas/ids/{schema_id}/subjects")
    def schema_subjects(schema_id: int, offset: Offset = 0, limit: Limit = -1) -> list[str]:
        _schema(registry, schema_id)
        found = sorted({place.subject for place in registry.places(schema_id)})
        return page(found, offset, limit)

    @router.get("/schemas/ids/{schema_id}/versions")
    def schema_versions(
        schema_id: int, offset: Offset = 0, limit: Limit = -1
    ) -> list[dict[str, Any]]:
        _schema(registry, schema_id)
        found = page(registry.places(schema_id), offset, limit)
        return [{"subject": place.subject, "version": place.version} for place in found]


def _add_associations(router: APIRouter) -> None:
    @router.get("/contexts")
    def contexts(offset: Offset = 0, limit: Limit = -1) -> list[str]:
        return page(["."], offset, limit)

    @router.get("/associations/resources/{namespace}/{name}")
    def associations(
        _namespace: Annotated[str, Path(alias="namespace")],
        _name: Annotated[str, Path(alias="name")],
    ) -> list[dict[str, Any]]:
        """None: a topic holds records of several subjects, and an association leads to one.

        Confluent's serializers ask here before anything else, unless told how subjects are named.
        """
        return []


def _schema(registry: Registry, schema_id: int) -> str:
    found = registry.schema(schema_id)
    if found is None:
        raise RegistryError(SCHEMA_NOT_FOUND, f"Schema {schema_id} not found")
    return found


def _shown(registered: Registered) -> dict[str, Any]:
    return {
        "subject": registered.subject,
        "version": registered.version,
        "id": registered.id,
        "schemaType": "AVRO",
        "schema": registered.schema,
    }


def _text(schema: str) -> Response:
    return Response(json.dumps(json.loads(schema)), media_type=MEDIA_TYPE)
