"""JSON bodies at the REST door: an answer below 500, a problem with a documented code, no fault of ours.

number of a route, 1 byte │ body
"""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from domain.errors import CODES
from domain.json_text import parse_json
from gateway.rest.admission import Limits
from gateway.rest.app import Deps, create_app
from streams.answers import Answer
from streams.command_bus import CommandRequest, content_of, headers_of, outcome_unknown
from streams.memory_event_store import MemoryEventStore
from streams.query_bus import QueryBus
from tests.fuzz.bounded import bounded
from tests.fuzz.choices import Choices
from tests.gateway.memory_stack import PIPELINE
from tests.streams.kafka_model import START
from tests.streams.scripts import CODEC

ROUTES = (
    ("POST", "/v1/pipelines"),
    ("PUT", "/v1/pipelines/weather"),
    ("POST", "/v1/pipelines/weather/activate"),
    ("POST", "/v1/pipelines/weather/executions"),
    ("POST", "/v1/commands"),
    ("POST", "/v1/executions/01890a5d-ac96-774b-bcce-b302099a8057/cancel"),
)


class _Encoding:
    """Writes every command as it would be sent, and never answers."""

    async def send(self, request: CommandRequest, timeout_s: float) -> Answer:
        headers_of(request, content_of(request, CODEC), START)
        raise outcome_unknown(request.identity, timeout_s)


LOOP = asyncio.new_event_loop()
APP = create_app(
    Deps(
        commands=_Encoding(),
        queries=QueryBus({}),
        events=MemoryEventStore(CODEC),
        codec=CODEC,
        limits=Limits(per_second=0),
    )
)


def check(data: bytes) -> None:
    with bounded():
        choices = Choices(data)
        method, path = choices.one(ROUTES)
        body = choices.rest()
        status, answer = LOOP.run_until_complete(_asked(method, path, body))
        found = json.loads(answer)
        if status in (200, 504) and body:
            # What was sent on has one meaning.
            parse_json(body.decode("utf-8-sig"))
        if status == 200:
            assert isinstance(found, list)
            assert {one["error"]["code"] for one in found} <= set(CODES)
            return
        assert status in (409, 413, 422, 504), (status, found)
        assert found["code"] in CODES, found


async def _asked(method: str, path: str, body: bytes) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json")],
        "server": ("localhost", 80),
        "client": ("localhost", 1),
        "state": {},
    }
    await APP(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


def seeds() -> Iterable[bytes]:
    run = {"type": "ExecutePipeline", "aggregate_id": "x", "data": {"pipeline_id": "weather"}}
    step = {"id": "a", "uses": "x.y", "retry": {"attempts": 3}, "with": {"$blob": "x", "n": 1.5}}
    yield b"\0" + json.dumps(PIPELINE).encode()
    yield b"\0" + json.dumps(PIPELINE | {"steps": [step]}).encode()
    yield b"\1" + json.dumps(PIPELINE).encode()
    yield b"\2" + b'{"reason": "now"}'
    yield b"\3" + b'{"input": {"a": 1}, "options": {"deadline_s": 5, "priority": 0}}'
    yield b"\4" + json.dumps([run, run | {"expected_version": 3, "data": {"input": {}}}]).encode()
    yield b"\4" + b'{"type": "CreatePipeline", "aggregate_id": "p", "data": {"a": 1, "a": 2}}'
