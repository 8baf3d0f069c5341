"""GET /streams/{context}/{id}/events: the event store."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from domain.errors import Invalid
from gateway.rest import shapes
from gateway.rest.headers import caller, etag
from gateway.rest.responses import json_response
from gateway.services.asked import Caller
from gateway.services.streams import StreamService


class Slice(BaseModel):
    """Where to start; `cursor` is the last answer's `next_cursor`."""

    model_config = ConfigDict(extra="forbid")

    from_version: int = 1
    limit: int = 100
    cursor: str | None = None

    def first(self) -> int:
        """The first version wanted. Raises Invalid."""
        if self.cursor is None:
            return self.from_version
        if not (self.cursor.isascii() and self.cursor.isdecimal() and len(self.cursor) < 19):
            raise Invalid("query.invalid", f"{self.cursor[:40]!r} is no cursor of a stream")
        return int(self.cursor)


def streams_router(service: StreamService) -> APIRouter:
    """The route over `service`."""
    router = APIRouter(prefix="/v1/streams", tags=["streams"])

    @router.get("/{context}/{aggregate_id}/events", response_model=shapes.Events)
    async def events(
        context: str,
        aggregate_id: str,
        query: Annotated[Slice, Query()],
        by: Annotated[Caller, Depends(caller)],
    ) -> Response:
        """The events of one aggregate in the order of their versions, as its owner has them."""
        found = await service.events(
            by, context, aggregate_id, from_version=query.first(), limit=query.limit
        )
        body = {
            "items": found.items,
            "next_cursor": None if found.next_version is None else str(found.next_version),
            "total": {"count": found.version, "capped": False},
        }
        return json_response(body, headers={"ETag": etag(found.version)})

    return router
