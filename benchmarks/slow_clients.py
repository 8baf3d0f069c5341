"""Good traffic beside clients that hold connections: `python -m benchmarks.slow_clients DATA_DIR [--clients 500]`.

good traffic alone ──► beside the slow clients ──► alone again     p99 of each, private memory of the api

A third of the slow clients say nothing, a third send a byte of their headers every second, a third a byte of
their body. One that is cut off connects anew. DATA_DIR is that of a running stack; prints one JSON line, exit 1
where p99 is over twice that of before, or memory is 10 % up afterwards.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from services import endpoints

READERS = 4
EVERY_S = 0.02
ALONE_S = 15.0
CALM_S = 10.0
"""After the slow clients: for connections to be closed and memory to be given back."""
REPEATS = 3
HEAD = b"POST /v1/pipelines HTTP/1.1\r\nHost: flexcore\r\nContent-Length: 1000\r\n"


class Slow:
    """Clients that connect again whenever they are cut off."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self.connected = 0
        self.cut = 0

    @asynccontextmanager
    async def held(self, clients: int) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._hold(number % 3)) for number in range(clients)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hold(self, kind: int) -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                self.connected += 1
                try:
                    await self._send(kind, reader, writer)
                finally:
                    self.cut += 1
                    writer.close()
            await asyncio.sleep(0.1)

    async def _send(
        self, kind: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Until the server hangs up."""
        text = (b"", HEAD, b"x" * 1_000)[kind]
        if kind == 2:
            writer.write(HEAD + b"\r\n")
        ended = asyncio.create_task(reader.read())
        try:
            for byte in text:
                if (await asyncio.wait({ended}, timeout=1.0))[0]:
                    return
                writer.write(bytes([byte]))
            await ended
        finally:
            ended.cancel()


async def p99_ms(url: str, seconds: float) -> float:
    """Of reads of a list by a few readers, each of which waits a little between two of them."""
    took: list[float] = []

    async def read(client: httpx2.AsyncClient) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            began = time.perf_counter()
            (await client.get("/v1/pipelines?limit=10")).raise_for_status()
            took.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(EVERY_S)

    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        await asyncio.gather(*(read(client) for _ in range(READERS)))
    return statistics.quantiles(took, n=100)[98]


def private_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


async def measured(url: str, pid: int, clients: int, seconds: float) -> dict[str, object]:
    host = urlsplit(url)
    slow = Slow(host.hostname or "", host.port or 80)
    before = [await p99_ms(url, ALONE_S) for _ in range(REPEATS)]
    memory = [private_mib(pid)]
    beside = []
    async with slow.held(clients):
        for _ in range(REPEATS):
            beside.append(await p99_ms(url, seconds / REPEATS))
        memory.append(private_mib(pid))
    await asyncio.sleep(CALM_S)
    after = [await p99_ms(url, ALONE_S) for _ in range(REPEATS)]
    memory.append(private_mib(pid))
    ratio = statistics.median(beside) / statistics.median(before)
    return {
        "benchmark": "slow_clients",
        "clients": clients,
        "seconds": seconds,
        "connections": slow.connected,
        "cut": slow.cut,
        "p99_ms": {
            name: [round(one, 1) for one in found]
            for name, found in (("before", before), ("beside", beside), ("after", after))
        },
        "ratio": round(ratio, 2),
        "private_mib": [round(one, 1) for one in memory],
        "held": ratio <= 2 and memory[2] <= memory[0] * 1.1,
    }


def main() -> None:
    """Run, print one line of JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.slow_clients", description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    stack = endpoints.load(given.data_dir)
    if stack is None:
        parser.error(f"no stack runs over {given.data_dir}; start one with flexcore dev --detach")
    found = asyncio.run(measured(stack.api, stack.pids["api"][0], given.clients, given.seconds))
    print(json.dumps(found))
    sys.exit(0 if found["held"] else 1)


if __name__ == "__main__":
    main()
