"""The projector's pages: its tables, from whichever instance owns the key, and its health.

GET /v1/tables · /v1/tables/{table}/{key} · /livez · /readyz?verbose · /metrics
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import aiohttp
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from yarl import URL

from projections.host import Projector
from projections.values import dumps
from streams.topics import partition_of

FORWARDED = "FlexCore-Forwarded"
"""On a request that another projector passed on; it is never passed on again."""
FORWARD_TIMEOUT_S = 3.0
RETRY_AFTER_S = 1


def add_pages(projector: Projector) -> None:
    """Add the pages to the projector's app."""
    pages = _Pages(projector)
    for path, page in (
        ("/v1/tables", pages.tables),
        ("/v1/tables/{table}/{key}", pages.row),
        ("/livez", pages.alive),
        ("/readyz", pages.ready),
        ("/metrics", pages.metrics),
    ):
        projector.app.page(path, name=page.__name__)(_view(page))


def _view(page: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Faust makes a method of what it is given, which a bound method would not become."""

    async def get(view: Any, request: Any, **matched: str) -> Any:
        return await page(view, request, **matched)

    return get


class _Pages:
    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self._app = projector.app

    async def tables(self, web: Any, request: Any) -> Any:
        """Each table with the number of keys and the partitions that this instance holds."""
        if not self._projector.recovered:
            return _unavailable(web, request, "the tables are being recovered")
        mine = self._partitions(str(self._app.conf.canonical_url))
        listed = [
            {"name": name, "keys": len(table.data.data), "partitions": sorted(mine.get(name, ()))}
            for name, table in self._projector.tables.items()
        ]
        return _json(web, {"tables": listed})

    async def row(self, web: Any, request: Any, table: str, key: str) -> Any:
        """The row of `key`, read here or where it lives."""
        if table not in self._projector.tables:
            return _problem(web, request, 404, "table.not_found", f"there is no table {table!r}")
        owner = self._owner(table, key)
        if owner is None:
            return _unavailable(web, request, "no projector holds that key at the moment")
        if owner == str(self._app.conf.canonical_url):
            return self._local(web, request, table, key)
        if FORWARDED in request.headers:
            return _unavailable(web, request, "the key is moving to another projector")
        return await self._remote(web, request, owner, f"/v1/tables/{table}/{quote(key, safe='')}")

    async def alive(self, web: Any, _: Any) -> Any:
        """200 as long as the process serves."""
        return _json(web, {"status": "alive"})

    async def ready(self, web: Any, request: Any) -> Any:
        """200 when rows are folded and stored, 503 until then."""
        checks = self._projector.ready
        body: dict[str, Any] = {"status": "ready" if all(checks.values()) else "not ready"}
        if "verbose" in request.query:
            body["checks"] = checks
        return _json(web, body, 200 if all(checks.values()) else 503)

    async def metrics(self, web: Any, _: Any) -> Any:
        """Prometheus text."""
        text = generate_latest(self._projector.metrics.registry)
        return web.bytes(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _partitions(self, url: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for name in self._projector.tables:
            changelog = self._projector.topics.changelog(name)
            topics = self._app.router.table_metadata(name).get(url, {})
            found[name] = list(topics.get(changelog, ()))
        return found

    def _owner(self, table: str, key: str) -> str | None:
        partition = partition_of(key, self._projector.partitions)
        changelog = self._projector.topics.changelog(table)
        for url, topics in self._app.router.table_metadata(table).items():
            if partition in topics.get(changelog, ()):
                return str(url)
        return None

    def _local(self, web: Any, request: Any, table: str, key: str) -> Any:
        if not self._projector.recovered:
            return _unavailable(web, request, "the tables are being recovered")
        value = self._projector.tables[table].data.data.get(key.encode())
        if value is None:
            return _problem(web, request, 404, "aggregate.not_found", f"{table} has no {key!r}")
        return web.bytes(value, content_type="application/json")

    async def _remote(self, web: Any, request: Any, owner: str, path: str) -> Any:
        url = URL(owner.rstrip("/") + path, encoded=True)
        try:
            async with self._app.http_client.get(
                url,
                headers={FORWARDED: "1"},
                timeout=aiohttp.ClientTimeout(total=FORWARD_TIMEOUT_S),
            ) as answer:
                body, kind = await answer.read(), answer.content_type
                headers = {n: v for n, v in answer.headers.items() if n == "Retry-After"}
                return web.bytes(body, content_type=kind, status=answer.status, headers=headers)
        except (aiohttp.ClientError, TimeoutError):
            return _unavailable(web, request, "the projector that holds the key does not answer")


def _json(web: Any, value: Any, status: int = 200) -> Any:
    return web.bytes(dumps(value), content_type="application/json", status=status)


def _unavailable(web: Any, request: Any, why: str) -> Any:
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return _problem(web, request, 503, "owner.unavailable", why, headers)


def _problem(
    web: Any,
    request: Any,
    status: int,
    code: str,
    detail: str,
    headers: dict[str, str] | None = None,
) -> Any:
    problem = {
        "type": "about:blank",
        "title": "Not Found" if status == 404 else "Service Unavailable",
        "status": status,
        "detail": detail,
        "instance": request.path,
        "code": code,
    }
    kind = "application/problem+json"
    return web.bytes(dumps(problem), content_type=kind, status=status, headers=headers)
