"""./flexcore conformance [--cases 200] [OPERATION …]: holds a running api to its own OpenAPI document.

lock ─► environment with schemathesis ─► a stack in a temporary folder ─► cases for each operation ─► exit 1 for a finding

A finding: a 5xx, a status, media type or shape that the document does not have, bad data that is taken.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from benchmarks.peers.environments import NotAvailable, installed
from tests.e2e.product import Product

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "tools" / "conformance.lock"
CACHE = ROOT / ".cache" / "conformance"
CONFIG = Path(__file__).parent / "schemathesis.toml"
PHASES = "examples,coverage,fuzzing,stateful"
EXECUTION = "0190c5cf-0000-7000-8000-000000000001"


def main() -> int:
    asked = asked_for(sys.argv[1:])
    # An exit like any other, so that its stack ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        programs = installed(LOCK, CACHE / "environment")
    except NotAvailable as error:
        print(f"error[setup.no_schemathesis]: {error}", file=sys.stderr)
        return 1
    events = CACHE / "events.ndjson"
    with stack() as api:
        know_something(api)
        code = held(programs, api, asked, events)
    counts = cases_of(events)
    print()
    for operation, count in sorted(counts.items(), key=lambda one: one[1]):
        print(f"{count:>7,}  {operation}")
    print(f"{sum(counts.values()):>7,}  cases of {len(counts)} operations")
    return code


def asked_for(arguments: list[str]) -> argparse.Namespace:
    """`cases`, `seed` and `operations` of a command line."""
    parser = argparse.ArgumentParser(
        prog="flexcore conformance", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--cases", type=int, default=200, help="drawn for each operation (200)")
    parser.add_argument("--seed", type=int, help="of a run that is to be the same again")
    parser.add_argument(
        "operations", nargs="*", metavar="OPERATION", help='such as "GET /v1/pipelines" (all)'
    )
    return parser.parse_args(arguments)


@contextmanager
def stack() -> Iterator[str]:
    """The address of an api that a user's command has started, with any number of requests a second."""
    # Not below the clone's cache, which PostgreSQL's account may not reach.
    folder = Path(tempfile.mkdtemp(prefix="flexcore-conformance-"))
    folder.chmod(0o755)
    product = Product(folder / ".flexcore", {"FLEXCORE__API__REQUESTS_PER_S": "0"})
    try:
        print("starting a stack", flush=True)
        product.run("dev", "--detach")
        yield str(product.endpoints["api"])
    finally:
        product.run("stop")
        shutil.rmtree(folder, ignore_errors=True)


def know_something(api: str) -> None:
    """Make what schemathesis.toml names, so that not everything is answered by 404."""
    with httpx2.Client(base_url=api, trust_env=False, timeout=60) as client:

        def post(path: str, body: object, **headers: str) -> None:
            client.post(f"/v1/pipelines{path}", json=body, headers=headers).raise_for_status()

        config = {"rows": [{"a": 1}], "where": "row.a > 0"}
        step = {"id": "only", "uses": "flexcore.filter", "with": config}
        for name in ("draft", "active", "archived"):
            post("", {"pipeline_id": name, "name": name, "steps": [step]})
        post("/active/activate", {})
        post("/archived/archive", {})
        post("/active/executions", {"execution_id": EXECUTION}, Prefer="wait=30")


def held(
    programs: Path, api: str, asked: argparse.Namespace, events: Path, folder: Path = CACHE
) -> int:
    """Run schemathesis in a folder; its exit code, which is not 0 where it found something."""
    command = [
        programs / "schemathesis",
        f"--config-file={CONFIG}",
        "run",
        f"{api}/openapi.json",
        f"--max-examples={asked.cases}",
        f"--phases={PHASES}",
        "--warnings=off",
        "--report=ndjson",
        f"--report-ndjson-path={events}",
        *([] if asked.seed is None else [f"--seed={asked.seed}"]),
        *(f"--include-name={operation}" for operation in asked.operations),
    ]
    # Nothing of ours is imported there, and no proxy stands before a stack of this machine.
    unwanted = ("PYTHONPATH", "PYTHONSAFEPATH", "HTTP_PROXY", "http_proxy", "ALL_PROXY")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def cases_of(events: Path) -> Counter[str]:
    """The cases of each operation; of those in several steps each counts for its own."""
    counts: Counter[str] = Counter()
    with events.open(encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line) if line.strip() else {}
            recorder = event.get("ScenarioFinished", {}).get("recorder", {})
            for case in recorder.get("cases", {}).values():
                steps = "Stateful" in recorder["label"]
                value = case["value"]
                counts[f"{value['method']} {value['path']}" if steps else recorder["label"]] += 1
    return counts


if __name__ == "__main__":
    sys.exit(main())
