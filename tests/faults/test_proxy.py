"""The proxy understands the requests it harms, and harms them as it is told."""

import asyncio
import struct
from collections.abc import Awaitable, Callable

import pytest

from services.embedded import ports
from tests.faults.proxy import HOST, Proxy
from tests.faults.proxy_rules import Door, Rule, Shape
from tests.faults.wire import Api, end_txn_error, framed, parse

ID = "orders-worker-0-1"
SLOT = 0


def request(api: Api, version: int, body: bytes, correlation: int = 7) -> bytes:
    """A request as clients send it, without its size."""
    return struct.pack(">hhih", api, version, correlation, 2) + b"me" + body


def old_string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def end_txn(*, commit: bool) -> bytes:
    return request(Api.END_TXN, 1, old_string(ID) + struct.pack(">qhb", 42, 3, commit))


def add_offsets() -> bytes:
    return request(Api.ADD_OFFSETS_TO_TXN, 1, old_string(ID) + struct.pack(">qh", 42, 3))


def test_an_old_request_tells_its_transactional_id_and_decision() -> None:
    found = parse(end_txn(commit=True))
    assert (found.api, found.client, found.transactional_id) == (Api.END_TXN, "me", ID)
    assert found.commits is True
    assert found.deciding(False).commits is False


def test_a_flexible_request_does_too() -> None:
    compact = bytes([len(ID) + 1]) + ID.encode()
    body = b"\0" + compact + struct.pack(">qhb", 42, 3, 0) + b"\0"
    found = parse(request(Api.END_TXN, 3, body))
    assert (found.transactional_id, found.commits) == (ID, False)
    assert found.deciding(True).commits is True


def test_other_requests_have_no_transactional_id() -> None:
    assert parse(request(Api.FETCH, 11, b"whatever")).transactional_id == ""


def test_the_answer_to_a_late_end_is_understood() -> None:
    answer = struct.pack(">iih", 7, 0, 47)
    assert end_txn_error(parse(end_txn(commit=True)), answer) == 47


class Broker:
    """Notes the requests that arrive, in order, and answers each with `no error`."""

    def __init__(self) -> None:
        self.port = ports.pick()
        self.heard: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                self.heard.append(await reader.readexactly(size))
                writer.write(framed(struct.pack(">iih", 7, 0, 0)))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()


Scene = Callable[[Proxy, Broker, Callable[[], Awaitable["Client"]]], Awaitable[None]]
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def play(scene: Scene) -> None:
    """A scene between a client, the proxy and a broker."""

    async def run() -> None:
        broker = Broker()
        door = Door(SLOT, ports.pick(avoid=frozenset({broker.port})), broker.port)
        proxy = Proxy([door])
        await asyncio.start_server(broker.serve, HOST, broker.port)
        await proxy.open_doors()
        async with asyncio.timeout(20):
            await scene(proxy, broker, lambda: asyncio.open_connection(HOST, door.port))

    asyncio.run(run())


async def ask(client: Client, frame: bytes) -> bytes:
    client[1].write(framed(frame))
    (size,) = struct.unpack(">i", await client[0].readexactly(4))
    return await client[0].readexactly(size)


def rule(action: str, **more: object) -> Rule:
    return Rule(name=action, slot=SLOT, apis=(Api.END_TXN,), action=action, **more)  # type: ignore[arg-type]


def test_what_no_rule_names_passes() -> None:
    async def scene(proxy: Proxy, broker: Broker, connect: Callable[[], Awaitable[Client]]) -> None:
        proxy.add(rule("cut", commits=False))
        client = await connect()
        await ask(client, add_offsets())
        await ask(client, end_txn(commit=True))
        assert broker.heard == [add_offsets(), end_txn(commit=True)]

    play(scene)


def test_a_cut_request_never_arrives() -> None:
    async def scene(proxy: Proxy, broker: Broker, connect: Callable[[], Awaitable[Client]]) -> None:
        proxy.add(rule("cut"))
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await ask(await connect(), end_txn(commit=True))
        assert broker.heard == []

    play(scene)


def test_a_stray_arrives_after_its_repetition_and_before_what_it_waits_for() -> None:
    async def scene(proxy: Proxy, broker: Broker, connect: Callable[[], Awaitable[Client]]) -> None:
        proxy.add(rule("stray", before=(Api.ADD_OFFSETS_TO_TXN,)))
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await ask(await connect(), end_txn(commit=True))
        again = await connect()
        await ask(again, end_txn(commit=True))
        await ask(again, add_offsets())
        commit = end_txn(commit=True)
        assert broker.heard == [commit, commit, add_offsets()]
        told = proxy.events[-1]
        assert (told["what"], told["error"]) == ("stray delivered", 0)
        assert told["decided"] is False, "nothing was written in between"

    play(scene)


def test_a_copy_decides_otherwise_than_its_original() -> None:
    async def scene(proxy: Proxy, broker: Broker, connect: Callable[[], Awaitable[Client]]) -> None:
        proxy.add(rule("copy", before=(Api.ADD_OFFSETS_TO_TXN,)))
        client = await connect()
        await ask(client, end_txn(commit=True))
        await ask(client, add_offsets())
        assert broker.heard == [end_txn(commit=True), end_txn(commit=False), add_offsets()]

    play(scene)


def test_a_closed_direction_carries_nothing_until_it_opens() -> None:
    async def scene(proxy: Proxy, broker: Broker, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        await proxy.shape(SLOT, Shape(closed="up"))
        asked = asyncio.create_task(ask(client, add_offsets()))
        done, _ = await asyncio.wait({asked}, timeout=0.2)
        assert (done, broker.heard) == (set(), [])
        await proxy.clear()
        await asked
        assert broker.heard == [add_offsets()]

    play(scene)
