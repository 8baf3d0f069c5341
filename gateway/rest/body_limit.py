"""No body over 1 MiB is parsed, whatever its headers say, and none is waited for without end.

receive ─► at most 1 MiB, within 20 s ─► JSON that means one thing ─► application
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import FlexCoreError, Invalid, TooLarge, TooSlow
from gateway.rest.responses import error_response
from gateway.rest.strict_body import check_body
from gateway.rest.tracing import trace_id_of

MAX_BODY_BYTES = 1024 * 1024
BODY_S = 20.0
"""A whole body at 50 KiB a second."""


class BodyLimit:
    """Reads the body before the application does, and answers 413 or 408 in its place.

    Our bodies are read whole anyway; the framework would turn an error while reading into its own.
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES, within_s: float = BODY_S
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._checked(scope, receive)
        except (Invalid, TooLarge, TooSlow) as error:
            await self._refuse(error, scope, receive, send)
        else:
            await self._app(scope, _replay(body, receive), send)

    async def _refuse(
        self, error: FlexCoreError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        response = error_response(error, scope["path"], trace_id_of(scope))
        if not isinstance(error, Invalid):
            # What is left of the body is not read any more.
            response.headers["Connection"] = "close"
        await response(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body. Raises Invalid, TooLarge, TooSlow."""
        try:
            async with asyncio.timeout(self._within_s):
                body = await self._body(scope, receive)
        except TimeoutError:
            raise TooSlow(
                "request.too_slow", f"a body has {self._within_s:g} s to come; send it at once"
            ) from None
        check_body(body)
        return body

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise self._too_large()
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > self._max_bytes:
                raise self._too_large()
            more = message.get("more_body", False)
        return b"".join(parts)

    def _too_large(self) -> TooLarge:
        return TooLarge(
            "request.too_large", f"a body has at most {self._max_bytes} bytes; send less"
        )


def _replay(body: bytes, receive: Receive) -> Receive:
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay
