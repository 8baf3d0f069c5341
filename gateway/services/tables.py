"""The Faust tables, asked of a projector, which asks the one that holds the key."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx2

from domain.errors import Unavailable, error_of
from gateway.services.asked import Caller

REQUEST_S = 5.0


class TableService:
    """`url` tells where a projector is now, `None` where nobody knows of one. `close` after use."""

    def __init__(self, url: Callable[[], str | None]) -> None:
        self._url = url
        # No proxy of the environment: projectors are inside.
        self._http = httpx2.AsyncClient(timeout=REQUEST_S, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def tables(self) -> dict[str, Any]:
        """`{tables: [{name, keys, partitions}]}` of that projector. Raises Unavailable."""
        return await self._asked("/v1/tables")

    async def row(self, by: Caller, table: str, local_id: str) -> dict[str, Any]:
        """`{key, version, position, value}`. Raises NotFound, Unavailable."""
        key = by.known_id("aggregate", local_id)
        return await self._asked(f"/v1/tables/{quote(table, safe='')}/{quote(key, safe='')}")

    async def _asked(self, path: str) -> dict[str, Any]:
        url = self._url()
        if url is None:
            raise _away("nobody has said where one is; set FLEXCORE__PROJECTOR__URL")
        try:
            answer = await self._http.get(url.rstrip("/") + path)
            found: dict[str, Any] = answer.json()
        except (httpx2.TransportError, httpx2.InvalidURL, ValueError) as error:
            raise _away(f"that at {url} does not answer: {error}") from error
        if answer.is_success:
            return found
        if answer.status_code == httpx2.codes.NOT_FOUND:
            raise error_of(str(found.get("code")), str(found.get("detail")))
        raise _away(str(found.get("detail", answer.status_code)))


def _away(why: str) -> Unavailable:
    return Unavailable("owner.unavailable", f"no projector can be asked: {why}")
