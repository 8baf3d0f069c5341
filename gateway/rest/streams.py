"""GET /streams/{context}/{id}/events: the event store."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict
from starlette.responses import Response

from domain.errors import Invalid
from gateway.rest import shapes
from gateway.rest.headers import caller, etag, freshness
from gateway.rest.responses import json_response
from gateway.services.asked import Caller, Freshness
from gateway.services.streams import Events, Piece, StreamService


class Slice(BaseModel):
    """Which events; `cursor` is the last answer's `next_cursor`, with the rest as it was.

    `at` is a moment of the broker's clock: the aggregate as it stood then.
    """

    model_config = ConfigDict(extra="forbid")

    from_version: int = 1
    to_version: int | None = None
    at: AwareDatetime | None = None
    limit: int = 100
    cursor: str | None = None

    def piece(self) -> Piece:
        """The same for the service. Raises Invalid."""
        first = self.from_version if self.cursor is None else version_of(self.cursor)
        return Piece(from_version=first, to_version=self.to_version, at=self.at, limit=self.limit)


def version_of(cursor: str) -> int:
    """The version that a cursor or an event's id stands for. Raises Invalid."""
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise Invalid("query.invalid", f"{cursor[:40]!r} is no cursor of a stream")
    return int(cursor)


def streams_router(service: StreamService) -> APIRouter:
    """The route over `service`."""
    router = APIRouter(prefix="/v1/streams", tags=["streams"])

    @router.get("/{context}/{aggregate_id}/events", response_model=shapes.Events)
    async def events(
        context: str,
        aggregate_id: str,
        query: Annotated[Slice, Query()],
        by: Annotated[Caller, Depends(caller)],
        fresh: Annotated[Freshness | None, Depends(freshness)],
    ) -> Response:
        """The events of one aggregate in the order of their versions, as its owner has them.

        With `FlexCore-Min-Position` as any worker has them that has come to it.
        """
        found = await service.events(by, context, aggregate_id, query.piece(), fresh)
        return events_response(found)

    return router


def events_response(found: Events) -> Response:
    """A list of events, with the aggregate's version as `ETag`."""
    body = {
        "items": found.items,
        "next_cursor": None if found.next_version is None else str(found.next_version),
        "total": {"count": found.version, "capped": False},
    }
    return json_response(body, headers={"ETag": etag(found.version)})
