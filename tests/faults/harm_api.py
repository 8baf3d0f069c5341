"""F33: an api process dies between the command's way to Kafka and the answer to its client.

PUT with an Idempotency-Key ─► connection lost ─► the same request to the next process ─► one effect
"""

import http.client
import json
import os
import signal
import sys
import uuid

from gateway.settings import Api, Database
from services.embedded import ports, process
from services.embedded.jars import ROOT
from services.environment import of_children
from streams.failpoints import EXIT_KILLED, VARIABLE, Failpoint
from tests.faults.harm import Field, Trial
from tests.faults.history import Fault
from tests.faults.workers import until

READY_WITHIN_S = 60.0
ANSWERED_S = 60.0
NOBODY = "postgresql://nobody@127.0.0.1:1/none"
"""Read models are not asked for here; an api serves commands while its database is away."""


def lost_answer(on: Field, kind: str) -> Fault:
    """The client cannot know what became of its command, and asks again with the same key."""
    trial = Trial(on, "F33", kind)
    name = f"asked-twice-{uuid.UUID(int=on.chance.getrandbits(128)).hex[:12]}"
    key = str(uuid.UUID(int=on.chance.getrandbits(128), version=4))
    on.served.board.expect_foreign(key, name)
    port = ports.pick()
    first = _api(on, port, {VARIABLE: Failpoint.API_AFTER_PRODUCE.value})
    lost = _create(port, name, key)
    code = first.wait(30)
    first.stop()
    second = _api(on, port, {})
    told = _create(port, name, key)
    again = _create(port, name, key)
    os.kill(second.pid, signal.SIGTERM)
    second.stop()
    trial.hit(first=lost, exit=code, second=told, third=again)
    return trial.done(
        sound=lost == (0, "") and code == EXIT_KILLED and told[0] == 201 and told == again
    )


def _api(on: Field, port: int, more: dict[str, str]) -> process.Supervised:
    settings = on.served.settings.model_copy(
        update={
            "api": Api(port=port),
            "database": Database.model_validate({"url": NOBODY}),
        }
    )
    folder = on.served.folder
    running = process.start(
        [sys.executable, "-m", "services.api"],
        log=folder / "logs" / "api.log",
        env={**of_children(settings, folder / "secrets" / "api"), **more},
        cwd=ROOT,
    )
    until(lambda: _alive(port), READY_WITHIN_S, "the api")
    return running


def _alive(port: int) -> bool:
    try:
        return _ask(port, "GET", "/livez", None, "")[0] == 200
    except OSError:
        return False


def _create(port: int, name: str, key: str) -> tuple[int, str]:
    """(status, version); (0, "") where the connection was lost."""
    step = {"id": "read", "uses": "flexcore.csv_read", "with": {"path": "small.csv"}}
    body = {"pipeline_id": name, "name": name, "steps": [step]}
    try:
        return _ask(port, "POST", "/v1/pipelines", body, key)
    except (OSError, http.client.HTTPException):
        return 0, ""


def _ask(port: int, method: str, path: str, body: object, key: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWERED_S)
    headers = {"Content-Type": "application/json", "Prefer": "wait=0"}
    headers |= {"Idempotency-Key": key} if key else {}
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    return answer.status, answer.getheader("ETag") or ""
