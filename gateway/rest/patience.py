"""Connections whose request does not come: closed, for the server itself would keep them for ever.

connected ──► headers whole within 10 s? ──no──► closed       (a body has its own time, see body_limit)
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_S = 10.0


class PatientProtocol(H11Protocol):
    """As uvicorn's own, which times nothing but the rest between two requests."""

    headers_s = HEADERS_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as there
        super().connection_made(transport)
        self._expiry: asyncio.TimerHandle | None = None
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Time a request whose headers are not whole yet, from its first byte on."""
        if self.conn.their_state is not h11.IDLE:
            self._rest()
        elif self._expiry is None:
            self._expiry = self.loop.call_later(self.headers_s, self._expire)

    def _rest(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def _expire(self) -> None:
        self._expiry = None
        transport: Any = self.transport
        if self.conn.their_state is h11.IDLE and not transport.is_closing():
            transport.close()
