"""The schema registry as Confluent's clients read it, under `/registry`.

GET  /subjects                        /subjects/{subject}/versions[/{n}|/latest[/schema]]
GET  /schemas/ids/{id}[/schema|/subjects|/versions]      /schemas/types     /config     /mode
POST /subjects/{subject}              is this schema there?
POST /subjects/{subject}/versions     its id if it is there; nothing new is taken from here
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from domain.errors import FlexCoreError, NotFound
from streams.registry import Latest, Registered, Registry

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"

SUBJECT_NOT_FOUND = 40401
VERSION_NOT_FOUND = 40402
SCHEMA_NOT_FOUND = 40403
INVALID_SCHEMA = 42201
INVALID_VERSION = 42202
READ_ONLY = 42205
UNPROCESSABLE = 422
STORE_ERROR = 50001


class RegistryResponse(JSONResponse):
    """JSON under the registry's own media type, which some clients insist on."""

    media_type = MEDIA_TYPE


class RegistryError(Exception):
    """An answer that is no success, in the registry's form."""

    def __init__(self, error_code: int, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.message = message

    def response(self) -> Response:
        """HTTP status = the first three digits of the code."""
        status = int(str(self.error_code)[:3])
        body = {"error_code": self.error_code, "message": self.message}
        return RegistryResponse(body, status_code=status)


class _Route(APIRoute):
    """Answers errors as the registry's clients expect them, not as the rest of the API does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except RegistryError as error:
                return error.response()
            except RequestValidationError as error:
                what = "; ".join(str(problem["msg"]) for problem in error.errors())
                return RegistryError(UNPROCESSABLE, what).response()
            except FlexCoreError as error:
                return RegistryError(STORE_ERROR, error.message).response()

        return handler


class SchemaIn(BaseModel):
    """A schema as clients send it; what concerns other kinds than Avro is refused."""

    model_config = ConfigDict(populate_by_name=True)

    schema_text: str = Field(alias="schema", max_length=1_000_000)
    schema_type: str | None = Field(default=None, alias="schemaType")
    references: list[Any] | None = None


def registry_router(registry: Registry) -> APIRouter:
    """The routes over `registry`; the application mounts them under `/registry`.

    The handlers are plain functions, so that a look into the log never holds up the event loop.
    """
    router = APIRouter(
        route_class=_Route, default_response_class=RegistryResponse, tags=["registry"]
    )
    _add_subjects(router, registry)
    _add_schemas(router, registry)
    _add_fixed(router)
    return router


def _add_subjects(router: APIRouter, registry: Registry) -> None:
    @router.get("/subjects")
    def subjects() -> list[str]:
        return list(registry.subjects())

    @router.get("/subjects/{subject}/versions")
    def versions(subject: str) -> list[int]:
        return _versions(registry, subject)

    @router.get("/subjects/{subject}/versions/{version}")
    def version(subject: str, version: str) -> dict[str, Any]:
        return _shown(_version(registry, subject, version))

    @router.get("/subjects/{subject}/versions/{version}/schema")
    def version_schema(subject: str, version: str) -> Response:
        return _text(_version(registry, subject, version).schema)

    @router.post("/subjects/{subject}")
    def look_up(subject: str, body: SchemaIn) -> dict[str, Any]:
        _versions(registry, subject)
        found = _find(registry, subject, body)
        if found is None:
            raise RegistryError(SCHEMA_NOT_FOUND, "Schema not found")
        return _shown(found)

    @router.post("/subjects/{subject}/versions")
    def register(subject: str, body: SchemaIn) -> dict[str, Any]:
        found = _find(registry, subject, body)
        if found is None:
            raise RegistryError(
                READ_ONLY, f"Subject {subject!r} is read-only; schemas come with a release"
            )
        return {"id": found.id}


def _add_schemas(router: APIRouter, registry: Registry) -> None:
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
    def schema_subjects(schema_id: int) -> list[str]:
        _schema(registry, schema_id)
        return sorted({place.subject for place in registry.places(schema_id)})

    @router.get("/schemas/ids/{schema_id}/versions")
    def schema_versions(schema_id: int) -> list[dict[str, Any]]:
        _schema(registry, schema_id)
        return [
            {"subject": place.subject, "version": place.version}
            for place in registry.places(schema_id)
        ]


def _add_fixed(router: APIRouter) -> None:
    @router.get("/config")
    def config() -> dict[str, Any]:
        # What holds for every subject; events are held to FULL_TRANSITIVE, which is stricter.
        return {"compatibilityLevel": "BACKWARD_TRANSITIVE"}

    @router.get("/mode")
    def mode() -> dict[str, Any]:
        return {"mode": "READONLY"}


def _versions(registry: Registry, subject: str) -> list[int]:
    found = list(registry.versions(subject))
    if not found:
        raise RegistryError(SUBJECT_NOT_FOUND, f"Subject {subject!r} not found.")
    return found


def _version(registry: Registry, subject: str, version: str) -> Registered:
    _versions(registry, subject)
    try:
        return registry.version(subject, _version_number(version))
    except NotFound as error:
        raise RegistryError(VERSION_NOT_FOUND, f"Version {version} not found.") from error


def _version_number(version: str) -> int | Latest:
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


def _schema(registry: Registry, schema_id: int) -> str:
    found = registry.schema(schema_id)
    if found is None:
        raise RegistryError(SCHEMA_NOT_FOUND, f"Schema {schema_id} not found")
    return found


def _find(registry: Registry, subject: str, body: SchemaIn) -> Registered | None:
    if body.schema_type not in (None, "AVRO") or body.references:
        raise RegistryError(INVALID_SCHEMA, "only Avro schemas without references are held here")
    try:
        return registry.find(subject, body.schema_text)
    except ValueError as error:
        raise RegistryError(INVALID_SCHEMA, "the schema is no JSON") from error


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
