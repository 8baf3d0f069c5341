"""The form of the registry's answers: its media type, its errors, and what its clients send."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from domain.errors import FlexCoreError

T = TypeVar("T")

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"

SUBJECT_NOT_FOUND = 40401
VERSION_NOT_FOUND = 40402
SCHEMA_NOT_FOUND = 40403
LEVEL_NOT_CONFIGURED = 40408
MODE_NOT_CONFIGURED = 40409
UNPROCESSABLE = 422
INVALID_SCHEMA = 42201
INVALID_VERSION = 42202
INVALID_LEVEL = 42203
INVALID_MODE = 42204
READ_ONLY = 42205
STORE_ERROR = 50001
"""As Confluent's registry numbers them; the HTTP status is the first three digits."""

Offset = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(description="negative: all")]
Prefix = Annotated[str, Query(alias="subjectPrefix")]
DeletedOnly = Annotated[bool, Query(alias="deletedOnly", description="nothing here is deleted")]
LatestOnly = Annotated[bool, Query(alias="latestOnly")]
ToGlobal = Annotated[bool, Query(alias="defaultToGlobal")]


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


class RegistryProblem(BaseModel):
    """What the registry's clients are told instead of an answer."""

    error_code: int
    message: str


class RegistryRoute(APIRoute):
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

    def avro(self) -> str:
        """The text. Raises RegistryError where it stands for something else than Avro alone."""
        if self.schema_type not in (None, "AVRO") or self.references:
            raise RegistryError(
                INVALID_SCHEMA, "only Avro schemas without references are held here"
            )
        return self.schema_text


def read_only(what: str) -> RegistryError:
    """The refusal of whatever would change something."""
    return RegistryError(READ_ONLY, f"{what}; this registry is read-only for its clients")


def page(found: Sequence[T], offset: int, limit: int) -> list[T]:
    """The part of a list that a client asks for."""
    return list(found[offset:] if limit < 0 else found[offset : offset + limit])
