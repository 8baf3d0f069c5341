"""No body over 1 MiB is parsed, whatever its headers say."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import TooLarge
from gateway.rest.responses import error_response
from gateway.rest.tracing import trace_id_of

MAX_BODY_BYTES = 1024 * 1024


class BodyLimit:
    """Reads the body before the application does, and answers 413 in its place.

    Our bodies are read whole anyway; the framework would turn an error while reading into its own.
    """

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await self._body(scope, receive)
        if body is None:
            error = TooLarge(
                "request.too_large", f"a body has at most {self._max_bytes} bytes; send less"
            )
            response = error_response(error, scope["path"], trace_id_of(scope))
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body, `None` where it is too large."""
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            return None
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > self._max_bytes:
                return None
            more = message.get("more_body", False)
        return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay
