"""Too many requests are answered at once, with when to come again; probes always get through."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from gateway.rest.admission import MAX_HEADERS, Admission, Limits, Rate
from gateway.rest.tracing import Tracing


def client_of(limits: Limits, held: asyncio.Event | None = None) -> TestClient:
    async def answer(_: Request) -> Response:
        if held is not None:
            await held.wait()
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/", answer), Route("/livez", answer)])
    app.add_middleware(Admission, limits=limits)
    app.add_middleware(Tracing)
    return TestClient(app)


def test_over_the_rate_a_client_is_told_when_to_come_again() -> None:
    client = client_of(Limits(per_second=3))
    answers = [client.get("/") for _ in range(5)]
    assert [answer.status_code for answer in answers][:3] == [200] * 3
    late = answers[-1]
    assert (late.status_code, late.headers["Retry-After"]) == (429, "1")
    assert late.json()["code"] == "request.too_many"
    assert client.get("/livez").status_code == 200


def test_nobody_is_counted_where_no_rate_is_set() -> None:
    client = client_of(Limits(per_second=0))
    assert {client.get("/").status_code for _ in range(50)} == {200}


def test_headers_have_their_bounds() -> None:
    client = client_of(Limits())
    many = {f"X-{n}": "1" for n in range(MAX_HEADERS)}
    for headers in (many, {"X": "y" * 16_385}):
        answer = client.get("/", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "request.too_large")


def test_more_than_can_be_served_at_once_are_asked_to_come_again() -> None:
    async def run() -> tuple[list[int], list[int]]:
        held = asyncio.Event()
        app = client_of(Limits(at_once=2), held).app
        answers: list[tuple[int, dict[bytes, bytes]]] = []

        async def ask() -> int:
            scope = {
                "type": "http",
                "method": "GET",
                "path": "/",
                "headers": [],
                "query_string": b"",
                "client": ("10.0.0.1", 1),
            }

            async def send(message: dict[str, object]) -> None:
                if message["type"] == "http.response.start":
                    answers.append((message["status"], dict(message["headers"])))  # type: ignore[call-overload,arg-type]

            await app(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]
            return answers[-1][0]

        first = [asyncio.create_task(ask()) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        refused = [await ask(), await ask()]
        assert answers[0][1][b"retry-after"] == b"1"
        held.set()
        served = [await one for one in first]
        return refused, [*served, await ask()]

    assert asyncio.run(run()) == ([503, 503], [200, 200, 200])


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 0.5), st.sampled_from("ab")), max_size=300),
)
def test_no_client_gets_more_than_a_burst_and_its_rate(
    per_second: int, asks: list[tuple[float, str]]
) -> None:
    now = 0.0
    rate = Rate(per_second, lambda: now)
    let_in: dict[str, list[float]] = {"a": [], "b": []}
    for pause_s, client in asks:
        now += pause_s
        wait_s = rate.wait_s(client)
        if wait_s == 0:
            let_in[client].append(now)
        else:
            assert wait_s <= 1 / per_second + 1e-6
    for times in let_in.values():
        for index, first in enumerate(times):
            within = [time for time in times[index:] if time - first <= 1.0]
            assert len(within) <= 2 * per_second + 1


@pytest.mark.parametrize("per_second", [1, 7, 1_000])
def test_a_client_that_keeps_to_its_rate_is_never_refused(per_second: int) -> None:
    now = 0.0
    rate = Rate(per_second, lambda: now)
    for _ in range(5_000):
        assert rate.wait_s("a") == 0
        now += 1 / per_second


def test_addresses_are_forgotten_before_they_fill_the_memory() -> None:
    rate = Rate(1, lambda: 0.0)
    for number in range(20_000):
        rate.wait_s(str(number))
    assert len(rate._spoken_for) == 10_000
