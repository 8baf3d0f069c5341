"""`dev --detach`: the stack in a process of its own, which goes on when the one that started it ends.

we ── starts ──► python -m services.detached DATA_DIR ── JSON lines on stdout ──► we
                      │   {"progress": …}*  then  {"ready": true}  or  {"error": …}
                      └─ then runs on, its log in <data dir>/logs/stack.log
"""

import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from domain.errors import FlexCoreError, error_of
from gateway.settings import Settings, read
from services.data_dir import told_where_unwritable
from services.dev import read_endpoints, start_stack
from services.embedded.errors import failed
from services.endpoints import Endpoints
from services.environment import of_children
from services.progress import OnProgress, Progress


def start_detached(settings: Settings, *, data_dir: Path, on_progress: OnProgress) -> Endpoints:
    """Start a stack that outlives us and return where it is, once it is ready.

    Raises what `start_stack` raises.
    """
    data_dir = data_dir.absolute()
    log = data_dir / "logs" / "stack.log"
    with told_where_unwritable(data_dir):
        log.parent.mkdir(parents=True, exist_ok=True)
        errors = log.open("ab")
        environment = of_children(settings, data_dir / "secrets")
    with errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "services.detached", str(data_dir)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            text=True,
        )
    assert child.stdout is not None
    try:
        _follow(child.stdout, on_progress, log)
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        raise
    return read_endpoints(data_dir)


def _follow(lines: IO[str], on_progress: OnProgress, log: Path) -> None:
    for line in lines:
        told: dict[str, Any] = json.loads(line)
        if "progress" in told:
            on_progress(Progress(**told["progress"]))
        elif "error" in told:
            error = told["error"]
            raise error_of(error["code"], error["message"], **error["fields"])
        else:
            return
    raise failed("the stack did not start", cause="its process ended", fix=f"look into {log}")


def main(data_dir: Path) -> int:
    """Run the stack until SIGTERM; exit code 0, or 1 when it did not start."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        stack = start_stack(
            read(), data_dir=data_dir, on_progress=lambda step: _tell(progress=asdict(step))
        )
    except FlexCoreError as error:
        fields = {name: str(value) for name, value in error.fields.items()}
        _tell(error={"code": error.code, "message": error.message, "fields": fields})
        return 1
    with stack:
        _tell(ready=True)
        # Whoever started us may be gone: nothing may be written there from now on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        stack.wait()
    return 0


def _tell(**fields: Any) -> None:
    # Two threads may tell at once: one write per line keeps the lines whole.
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
