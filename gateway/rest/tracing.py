"""Every request has a trace id, and is counted and timed by its route."""

import secrets
import time

from prometheus_client import Counter, Histogram
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.rest.headers import TRACEPARENT

REQUESTS = Counter(
    "flexcore_api_requests", "Requests by route and status", ["method", "route", "status"]
)
SECONDS = Histogram(
    "flexcore_api_request_seconds",
    "Duration of requests by route",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Tracing:
    """Outermost: what a route's own errors become is counted as well."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["trace_id"] = _trace_id(scope)
        status = 500
        began = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            # Paths and methods come from clients: only known ones may become labels.
            route = getattr(scope.get("route"), "path", "unknown")
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            REQUESTS.labels(method, route, str(status)).inc()
            SECONDS.labels(method, route).observe(time.perf_counter() - began)


def trace_id_of(scope: Scope | Request) -> str:
    """The trace id of a request: its client's, or a new one."""
    state = scope.scope["state"] if isinstance(scope, Request) else scope["state"]
    return str(state["trace_id"])


def _trace_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
    found = TRACEPARENT.fullmatch(given)
    return found[1] if found else secrets.token_hex(16)
