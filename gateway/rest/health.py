"""/livez, /readyz, /startupz, /metrics: how this process is, for those who look after it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import prometheus_client
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import PlainTextResponse, Response

from domain.errors import FlexCoreError
from gateway.rest.responses import json_response

PROBES = frozenset({"/livez", "/readyz", "/startupz"})


@dataclass(frozen=True, slots=True)
class Check:
    """Raises a FlexCoreError while something is away; without what is `needed` we are not ready."""

    name: str
    run: Callable[[], Awaitable[None]]
    needed: bool


class Health(BaseModel):
    """`checks` where they are asked for: `ok`, or what is away."""

    status: Literal["ok", "degraded", "unavailable"]
    checks: dict[str, str] | None = None


_UNREADY: dict[int | str, dict[str, Any]] = {
    503: {"model": Health, "description": "No command can be sent"}
}


def health_router(checks: tuple[Check, ...]) -> APIRouter:
    """The routes over `checks`, mounted at the root."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", response_model=Health)
    async def live() -> Response:
        """200 while the process answers at all."""
        return json_response({"status": "ok"})

    @router.get("/startupz", response_model=Health)
    async def started() -> Response:
        """200 once it serves: nothing is served before everything was started."""
        return json_response({"status": "ok"})

    @router.get("/readyz", response_model=Health, responses=_UNREADY)
    async def ready(verbose: str | None = None) -> Response:
        """200 while commands can be sent, `degraded` where something else is away, else 503."""
        found = {check.name: await _state(check) for check in checks}
        away = [check for check in checks if found[check.name] != "ok"]
        unready = any(check.needed for check in away)
        status = "unavailable" if unready else "degraded" if away else "ok"
        body = {"status": status} | ({} if verbose is None else {"checks": found})
        headers = {"Retry-After": "1"} if unready else {}
        return json_response(body, 503 if unready else 200, headers)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus text."""
        return Response(
            prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST
        )

    return router


async def _state(check: Check) -> str:
    try:
        await check.run()
    except FlexCoreError as error:
        return error.message
    return "ok"
