"""The worker's pages: health, metrics, and one aggregate's events for the api."""

from collections.abc import Callable, Mapping
from typing import Any

import msgpack
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from domain.contexts import CONTEXTS
from domain.errors import NotFound
from streams.event_store import MAX_READ
from streams.faust_host import HostApp
from streams.slices import Cut, slice_of
from streams.stream_index import StreamIndex
from streams.topics import partition_of
from streams.turn import Place


def add_pages(
    app: HostApp,
    index: StreamIndex,
    *,
    partitions: int,
    owns: Callable[[Place], bool],
    follows: Callable[[Place], bool],
    health: Callable[[], Mapping[str, Any]],
) -> None:
    """Serve `/livez`, `/readyz`, `/metrics` and `/internal/streams/{context}/{id}/events`.

    The owner of a place answers for all of it; with `min_offset` in the query, whoever follows the
    place and has read past that. 503 = not now, 421 = never mine.
    `health()` says `ready` and whatever else an operator should see.
    """

    @app.page("/livez")
    async def livez(_self: Any, _request: Any) -> Any:
        return web.json_response({"status": "alive"})

    @app.page("/readyz")
    async def readyz(_self: Any, _request: Any) -> Any:
        found = health()
        status = 200 if found["ready"] else 503
        return web.json_response(found, status=status, headers=_retry(status))

    @app.page("/metrics")
    async def metrics(_self: Any, _request: Any) -> Any:
        # Gauges are set when health is looked at; a scraper that asks for nothing else sees now too.
        health()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.page("/internal/streams/{context}/{aggregate_id}/events")
    async def events(_self: Any, request: Any, **match: str) -> Any:
        context, aggregate_id = match["context"], match["aggregate_id"]
        place = context, partition_of(aggregate_id, partitions)
        if context not in CONTEXTS:
            return web.Response(status=404)
        try:
            least = _number(request.query, "min_offset")
            if least is not None and not follows(place):
                return web.Response(status=421)
            if not (owns(place) if least is None else index.position(*place) > least):
                return web.Response(status=503, headers=_retry(503))
            piece = slice_of(index, context, aggregate_id, _cut(request.query))
        except ValueError:
            return web.Response(status=400)
        except NotFound:
            return web.Response(status=404)
        found = [
            [e.version, e.partition, e.offset, e.timestamp_ms, e.value, dict(e.headers)]
            for e in piece.events
        ]
        body = msgpack.packb({"version": piece.version, "events": found})
        return web.Response(body=body, content_type="application/msgpack")


def _cut(query: Mapping[str, str]) -> Cut:
    """Raises ValueError for what is no number."""
    return Cut(
        from_version=int(query.get("from_version", "1")),
        limit=min(int(query.get("limit", str(MAX_READ))), MAX_READ),
        to_version=_number(query, "to_version"),
        at_ms=_number(query, "at_ms"),
    )


def _number(query: Mapping[str, str], name: str) -> int | None:
    found = query.get(name)
    return None if found is None else int(found)


def _retry(status: int) -> dict[str, str]:
    return {"Retry-After": "1"} if status == 503 else {}
