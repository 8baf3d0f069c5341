"""The event store: GET /streams/{context}/{id}/events of one aggregate, GET /events of all."""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from domain.errors import Invalid
from gateway.rest import shapes
from gateway.rest.documented import LOG, READ
from gateway.rest.headers import caller, etag, freshness
from gateway.rest.responses import json_response
from gateway.services.asked import Caller, Freshness
from gateway.services.streams import (
    MAX_VERSION,
    AllEvents,
    Events,
    Everything,
    Piece,
    StreamService,
)
from gateway.strict import Moment, bounded
from streams.event_store import MAX_READ, Place
from streams.positions import parse_position, position_text


class Slice(BaseModel):
    """Which events; `cursor` is the last answer's `next_cursor`, with the rest as it was.

    `at` is a moment of the broker's clock: the aggregate as it stood then.
    """

    model_config = ConfigDict(extra="forbid")

    from_version: Annotated[int, bounded(1, MAX_VERSION)] = 1
    to_version: Annotated[int, bounded(1, MAX_VERSION)] | None = None
    at: Moment | None = None
    limit: Annotated[int, bounded(1, MAX_READ)] = 100
    cursor: str | None = None

    def piece(self) -> Piece:
        """The same for the service. Raises Invalid."""
        first = self.from_version if self.cursor is None else version_of(self.cursor)
        return Piece(from_version=first, to_version=self.to_version, at=self.at, limit=self.limit)


class Selected(BaseModel):
    """Which of all events; `types` are names with commas between them, `cursor` is the last answer's."""

    model_config = ConfigDict(extra="forbid")

    from_timestamp: Moment | None = None
    context: str | None = None
    types: str = ""
    limit: Annotated[int, bounded(1, MAX_READ)] = 100
    cursor: str | None = None

    def everything(self) -> Everything:
        """The same for the service. Raises Invalid."""
        return Everything(
            context=self.context,
            types=[name.strip() for name in self.types.split(",") if name.strip()],
            since=self.from_timestamp,
            position={} if self.cursor is None else _places(self.cursor),
            limit=self.limit,
        )


def _cursor(position: Mapping[Place, int]) -> str:
    return base64.urlsafe_b64encode(position_text(position).encode()).decode().rstrip("=")


def _places(cursor: str) -> dict[Place, int]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return parse_position(base64.b64decode(padded, b"-_", validate=True).decode())
    except (ValueError, binascii.Error, Invalid):
        raise Invalid("query.invalid", "that cursor is none; use one as it was given") from None


def version_of(cursor: str) -> int:
    """The version that a cursor or an event's id stands for. Raises Invalid."""
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise Invalid("query.invalid", f"{cursor[:40]!r} is no cursor of a stream")
    return int(cursor)


def streams_router(service: StreamService) -> APIRouter:
    """The routes over `service`."""
    router = APIRouter(prefix="/v1", tags=["streams"])

    @router.get("/events", response_model=shapes.AllEvents, responses=LOG)
    async def everything(
        query: Annotated[Selected, Query()], by: Annotated[Caller, Depends(caller)]
    ) -> Response:
        """The events of all aggregates in the order of their times, read from the log.

        `next_cursor` is always there: with it a client goes on, also later with what has come
        meanwhile; `at_end` says that nothing followed for now.
        """
        return _all_response(await service.everything(by, query.everything()))

    @router.get(
        "/streams/{context}/{aggregate_id}/events",
        response_model=shapes.Events,
        responses=READ,
    )
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


def _all_response(found: AllEvents) -> Response:
    return json_response(
        {"items": found.items, "next_cursor": _cursor(found.position), "at_end": found.at_end}
    )


def events_response(found: Events) -> Response:
    """A list of events, with the aggregate's version as `ETag`."""
    body = {
        "items": found.items,
        "next_cursor": None if found.next_version is None else str(found.next_version),
        "total": {"count": found.version, "capped": False},
    }
    return json_response(body, headers={"ETag": etag(found.version)})
