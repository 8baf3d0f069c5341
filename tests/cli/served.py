"""FlexCore in memory behind real HTTP, and the command line run against it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from domain.execution.messages import (
    ExecutionCompleted,
    ExecutionFailed,
    PipelineStepCompleted,
    PipelineStepFailed,
)
from services import cli
from streams.records import event_record
from streams.topics import event_key
from tests.gateway.memory_stack import MemoryStack

TABLES = [{"name": "executions", "keys": 1, "partitions": [0, 1]}]
ROW = {"key": "e1", "version": 2, "position": "execution/0@1", "value": {"status": "running"}}


@dataclass(frozen=True)
class Ran:
    """What a command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Served:
    """A FlexCore of one test; `data_dir` holds its endpoints.json."""

    stack: MemoryStack
    url: str
    data_dir: Path
    captured: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> Ran:
        """Run one command line that finds this FlexCore by its data folder."""
        return self.run_bare(*arguments, "--data-dir", str(self.data_dir))

    def run_bare(self, *arguments: str) -> Ran:
        """Run one command line as it is."""
        self.captured.readouterr()
        code = cli.run(arguments)
        printed = self.captured.readouterr()
        return Ran(code, printed.out, printed.err)

    def end_run(self, execution_id: str, *, failed: bool = False) -> None:
        """Let the engine's answers to the run's only step come in, once."""
        if self.stack.store.version("execution", execution_id) > 2:
            return
        at = self.stack.now
        step: object
        end: object
        if failed:
            what = ("file.not_found", "there is no file 'a.csv'")
            step = PipelineStepFailed(
                execution_id, "read", 1, None, at, what[0], "weather", what[1]
            )
            end = ExecutionFailed(execution_id, "weather", at, "read", *what)
        else:
            output = '{"count":3}'
            step = PipelineStepCompleted(execution_id, "read", 1, 0.25, at, "weather", output)
            end = ExecutionCompleted(execution_id, "weather", at, '{"read":{"count":3}}')
        for event in (step, end):
            self._append(execution_id, event)

    def _append(self, execution_id: str, event: object) -> None:
        store = self.stack.store
        version = store.version("execution", execution_id) + 1
        value = self.stack.codec.encode(event)
        headers = [("ce_type", f"flexcore.execution.{type(event).__name__}")]
        key = event_key(execution_id, version)
        place = store.next_offset()
        store.take([event_record("execution", 0, place, 0, key, value, headers)])


@contextmanager
def served(folder: Path, captured: pytest.CaptureFixture[str]) -> Iterator[Served]:
    """Serve a new FlexCore on a free port of this machine."""
    stack = MemoryStack()
    server = uvicorn.Server(uvicorn.Config(_app(stack), port=0, log_level="error", lifespan="off"))
    listening = server.config.bind_socket()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    # The socket listens before the server runs: no request can come too early.
    listening.listen()
    thread = threading.Thread(target=server.run, args=[[listening]])
    thread.start()
    endpoints = {"api": url, "projector": url, "registry": f"{url}/registry", "kafka": ""}
    (folder / "endpoints.json").write_text(json.dumps(endpoints))
    try:
        yield Served(stack, url, folder, captured)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def _app(stack: MemoryStack) -> Starlette:
    async def tables(_: Request) -> JSONResponse:
        return JSONResponse({"tables": TABLES})

    async def row(request: Request) -> JSONResponse:
        if request.path_params["key"] == ROW["key"]:
            return JSONResponse(ROW)
        problem = {"code": "aggregate.not_found", "detail": "executions has no such key"}
        return JSONResponse(problem, 404)

    return Starlette(
        routes=[
            Route("/v1/tables", tables),
            Route("/v1/tables/{table}/{key}", row),
            Mount("/", stack.app),
        ]
    )
