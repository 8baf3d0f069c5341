"""A stack of its own for whoever means to harm it: its doors, and whether it is as well as it was."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2

from services.embedded.jars import ROOT
from streams.connection import Connection
from streams.registry import load_registry
from streams.topics import partition_of
from tests.e2e.foreign import TOPICS, Foreign, Sent
from tests.e2e.product import Product

PARTITIONS = 8
ANSWERED_WITHIN_S = 2.0
TRIES = 3
"""Others may have the machine for a second; the best of three tells what FlexCore took."""
STEPS = ROOT / "tests" / "e2e" / "steps"


class Shipped:
    """A running stack; `files` is where its steps read."""

    def __init__(self, product: Product, foreign: Foreign, files: Path) -> None:
        self.product, self.foreign, self.files = product, foreign, files
        self.places = product.endpoints
        self.registry = load_registry(Connection(self.places["kafka"]), TOPICS)
        self.codec = self.registry.codec()

    def ask(self, method: str, path: str, **how: Any) -> httpx2.Response:
        url = self.places["api"] + path
        return httpx2.request(method, url, trust_env=False, timeout=120, **how)

    def problem(self, path: str, **how: Any) -> tuple[int, str]:
        """(status, code) of what a POST brings about."""
        answer = self.ask("POST", path, **how)
        assert answer.headers["Content-Type"] == "application/problem+json", answer.text
        return answer.status_code, answer.json()["code"]

    def command(self, value: bytes | None, key: str = "", **how: Any) -> Sent:
        """Write a value as a command of a pipeline."""
        key = key or new_id("bad")
        return self.foreign.send("pipeline", at_home(key), key.encode(), value, **how)

    def run(self, step: dict[str, Any], wait_s: int = 60) -> dict[str, Any]:
        """A run of a pipeline of this step, when it has ended or after so many seconds."""
        name = new_id("run")
        self._post("", pipeline(name, **step))
        self._post(f"/{name}/activate")
        return self._post(f"/{name}/executions", headers={"Prefer": f"wait={wait_s}"})

    def answers_a_good_command(self, partition: int) -> None:
        """Soon, on this partition, from the door to the read model and back."""
        took: list[float] = []
        while not took or (min(took) > ANSWERED_WITHIN_S and len(took) < TRIES):
            name = next(n for n in iter(lambda: new_id("good"), "") if at_home(n) == partition)
            began = time.monotonic()
            assert self._post("", pipeline(name))["status"] == "draft"
            took.append(time.monotonic() - began)
        assert min(took) <= ANSWERED_WITHIN_S, took

    def is_unharmed(self) -> None:
        """The next good command is answered by the same worker as ever."""
        self.answers_a_good_command(self.foreign.last_partition)
        assert self.product.endpoints["pids"]["worker"] == self.places["pids"]["worker"]

    def _post(self, path: str, body: Any = None, **how: Any) -> dict[str, Any]:
        answer = self.ask("POST", f"/v1/pipelines{path}", json=body or {}, **how)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found


def new_id(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def at_home(aggregate_id: str) -> int:
    return partition_of(aggregate_id, PARTITIONS)


def pipeline(name: str, **step: Any) -> dict[str, Any]:
    """A pipeline of one step that is all right, save for what is given of it."""
    only = {"id": "only", "uses": "flexcore.filter", "with": {"rows": [], "where": "true"}}
    return {"pipeline_id": name, "name": name, "steps": [only | step]}


@contextmanager
def shipped_stack(folder: Path) -> Iterator[Shipped]:
    """Started as a user does; the steps of tests/plugins/hostile.py are there beside the built-in ones."""
    files = folder / "files"
    files.mkdir()
    others = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    settings = {
        "FLEXCORE__FILES__ROOT": str(files),
        "FLEXCORE__KAFKA__PARTITIONS": str(PARTITIONS),
        "PYTHONPATH": os.pathsep.join([str(STEPS), *others]),
    }
    product = Product(folder / ".flexcore", settings)
    try:
        product.run("dev", "--detach")
        with closing(Foreign(product.endpoints["kafka"], PARTITIONS)) as foreign:
            yield Shipped(product, foreign, files)
    finally:
        product.run("stop")
