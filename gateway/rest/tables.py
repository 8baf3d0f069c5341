"""The Faust tables: GET /tables lists them, GET /tables/{table}/{key} shows a row from whoever holds it."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from gateway.rest import shapes
from gateway.rest.documented import READ
from gateway.rest.headers import caller
from gateway.rest.responses import json_response
from gateway.services.asked import Caller
from gateway.services.tables import TableService


def tables_router(service: TableService) -> APIRouter:
    """The routes over `service`."""
    router = APIRouter(prefix="/v1/tables", tags=["tables"])

    @router.get("", response_model=shapes.Tables)
    async def tables() -> Response:
        """The tables, with the keys and partitions that one projector holds."""
        return json_response(await service.tables())

    @router.get("/{table}/{key}", response_model=shapes.TableRow, responses=READ)
    async def row(table: str, key: str, by: Annotated[Caller, Depends(caller)]) -> Response:
        """The row of a key, such as an execution's, with the event that it includes."""
        return json_response(await service.row(by, table, key))

    return router
