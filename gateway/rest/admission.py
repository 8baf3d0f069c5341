"""Who is let in: headers within bounds, clients within their rate, no more at once than can be served.

over 100 fields or 16 KiB ─► 413     over the rate ─► 429     too many at once ─► 503, both with Retry-After
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from domain.errors import FlexCoreError, Limited, TooLarge, Unavailable
from gateway.rest.health import PROBES
from gateway.rest.responses import error_response
from gateway.rest.tracing import trace_id_of

MAX_HEADERS = 100
MAX_HEADER_BYTES = 16 * 1024
_MAX_CLIENTS = 10_000
"""Of more addresses, those that asked last are remembered."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`per_second` requests of one address on the long run, and as many in a burst; 0 = any number."""

    per_second: int = 1_000
    at_once: int = 1_000


class Rate:
    """The generic cell rate algorithm: per client one time, until when its requests are spoken for.

    (ITU-T I.371; a leaky bucket that needs no timer)
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = 1 / per_second
        self._clock = clock
        self._spoken_for: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Take one request in; where there is no room, nothing, and the seconds until there is."""
        now = self._clock()
        until = max(now, self._spoken_for.get(client, now))
        wait_s = until + self._interval_s - now - 1.0
        if wait_s > 1e-9:
            return wait_s
        self._spoken_for[client] = until + self._interval_s
        self._spoken_for.move_to_end(client)
        if len(self._spoken_for) > _MAX_CLIENTS:
            self._spoken_for.popitem(last=False)
        return 0.0


class Admission:
    """Answers in the application's place; probes are let through, or a busy service looks dead."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._rate = Rate(limits.per_second) if limits.per_second else None
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        error = self._refusal(scope)
        if error is not None:
            response = error_response(error, scope["path"], trace_id_of(scope))
            await response(scope, receive, send)
            return
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1

    def _refusal(self, scope: Scope) -> FlexCoreError | None:
        headers = scope["headers"]
        size = sum(len(name) + len(value) for name, value in headers)
        if len(headers) > MAX_HEADERS or size > MAX_HEADER_BYTES:
            return TooLarge(
                "request.too_large",
                f"headers have at most {MAX_HEADERS} fields and {MAX_HEADER_BYTES} bytes; send less",
            )
        client = scope["client"][0] if scope["client"] else ""
        if self._rate is not None and self._rate.wait_s(client) > 0:
            return Limited(
                "request.too_many",
                f"over {self._limits.per_second} requests a second from one address; ask again in a second",
            )
        if self._running >= self._limits.at_once:
            return Unavailable(
                "api.busy",
                f"{self._running} requests are being answered already; ask again in a second",
            )
        return None
