"""Clients that hold a connection without ever asking for anything are cut off; others are served."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI

from gateway.rest.body_limit import BodyLimit
from gateway.rest.patience import PatientProtocol
from gateway.rest.tracing import Tracing

WITHIN_S = 0.5
HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"


class Impatient(PatientProtocol):
    headers_s = WITHIN_S


@dataclass(frozen=True)
class Serving:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/echo"

    async def held_s(self, *parts: bytes, every_s: float = 0.0) -> tuple[float, bytes]:
        """How long the server keeps a connection that sends no more than this, and what it says."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(every_s)
        said = b""
        with contextlib.suppress(ConnectionError):
            said = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return time.monotonic() - began, said


@pytest.fixture
def serving() -> Iterator[Serving]:
    app = FastAPI()

    @app.post("/echo")
    async def echo(body: dict[str, int]) -> dict[str, int]:
        return body

    app.add_middleware(BodyLimit, within_s=WITHIN_S)
    app.add_middleware(Tracing)
    config = uvicorn.Config(app, port=0, http=Impatient, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Serving(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(
    "parts",
    [(), (b"P",), (HEAD,), tuple(HEAD[n : n + 4] for n in range(0, len(HEAD), 4))],
    ids=["silent", "one byte", "half a header", "byte by byte"],
)
def test_a_request_whose_headers_do_not_come_is_cut_off(
    serving: Serving, parts: tuple[bytes, ...]
) -> None:
    held_s, said = asyncio.run(serving.held_s(*parts, every_s=0.1))

    assert WITHIN_S * 0.9 < held_s < WITHIN_S + 5
    assert said == b""


def test_a_body_that_does_not_come_is_answered_and_cut_off(serving: Serving) -> None:
    held_s, said = asyncio.run(serving.held_s(HEAD + b'\r\n{"a"', every_s=0))

    assert held_s > WITHIN_S * 0.9
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"request.too_slow"' in said


def test_good_clients_are_served_beside_many_slow_ones(serving: Serving) -> None:
    async def story() -> None:
        slow = [asyncio.create_task(serving.held_s(HEAD, every_s=0)) for _ in range(100)]
        async with httpx2.AsyncClient() as client:
            for number in range(50):
                answer = await client.post(serving.url, json={"a": number})
                assert answer.json() == {"a": number}
                # Kept alive between two requests for longer than headers may take.
                if number == 25:
                    await asyncio.sleep(2 * WITHIN_S)
        for held_s, _ in await asyncio.gather(*slow):
            assert held_s < WITHIN_S + 5

    asyncio.run(story())
