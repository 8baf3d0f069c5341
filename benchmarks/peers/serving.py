"""How a peer's process is asked for runs: a request a line on stdin, its result a line on stdout.

    compare.py ── {"in_flight": 32, "seconds": 4.0} ──►  run.py in the peer's environment
               ◄─ {"rate_per_s": …, "p50_ms": …, …} ──

The first line of all is `{"client": …, "versions": {…}}`, once the store is filled. Imported inside each peer's own
environment: the standard library only.
"""

import asyncio
import json
import platform
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

from benchmarks.peers.closed_loop import Aggregates, Command, Filling, Turn


def serve_threads(
    command: Callable[[Command], object],
    count: Callable[[], int],
    *,
    workers: int,
    client: str,
    versions: dict[str, str],
) -> None:
    """Serve a peer with a blocking client; at most `workers` threads work on what is in flight.

    `count` says how many events are in the store; `client` tells people how the peer was driven.
    """
    with ThreadPoolExecutor(workers) as pool:

        def run(turn: Turn | Filling, threads: int) -> None:
            for worker in [pool.submit(_work, command, turn) for _ in range(threads)]:
                worker.result()

        _serve(run, count, workers, {"client": client, "versions": versions})


def serve_tasks(
    runner: asyncio.Runner,
    command: Callable[[Command], Awaitable[object]],
    count: Callable[[], Awaitable[int]],
    *,
    workers: int,
    client: str,
    versions: dict[str, str],
) -> None:
    """Serve a peer with an asyncio client, by tasks instead of threads."""

    async def work(turn: Turn | Filling, tasks: int) -> None:
        await asyncio.gather(*(_work_async(command, turn) for _ in range(tasks)))

    async def counted() -> int:
        return await count()

    _serve(
        lambda turn, tasks: runner.run(work(turn, tasks)),
        lambda: runner.run(counted()),
        workers,
        {"client": client, "versions": versions},
    )


def versions_of(*distributions: str) -> dict[str, str]:
    """Of Python and of these packages, as they are installed here."""
    found = {name: metadata.version(name) for name in distributions}
    return {"python": platform.python_version(), **found}


def _serve(
    run: Callable[[Turn | Filling, int], None],
    count: Callable[[], int],
    workers: int,
    ready: dict[str, object],
) -> None:
    aggregates = Aggregates()
    filling = Filling(aggregates)
    run(filling, workers)
    before = count()
    if filling.error or before != filling.accepted:
        raise SystemExit(filling.error or f"{filling.accepted} accepted, {before} in the store")
    _tell(ready)
    for line in sys.stdin:
        request = json.loads(line)
        in_flight, seconds = int(request["in_flight"]), float(request["seconds"])
        turn = Turn(aggregates, in_flight, seconds)
        run(turn, min(workers, in_flight))
        before, after = count(), before
        _tell(_result(turn, seconds, counted=before - after))


def _result(turn: Turn, seconds: float, *, counted: int) -> dict[str, object]:
    if turn.error:
        return {"error": turn.error}
    if counted != turn.accepted:
        return {"error": f"{turn.accepted} commands were accepted, {counted} events are there"}
    return {
        "rate_per_s": len(turn.latencies_ms) / seconds,
        "p50_ms": turn.percentile(0.5),
        "p99_ms": turn.percentile(0.99),
        "accepted": turn.accepted,
    }


def _tell(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


def _work(command: Callable[[Command], object], turn: Turn | Filling) -> None:
    while (task := turn.take()) is not None:
        try:
            command(task)
        except Exception as error:  # whatever a peer raises is the result of its run
            turn.failed(task, error)
        else:
            turn.done(task)


async def _work_async(
    command: Callable[[Command], Awaitable[object]], turn: Turn | Filling
) -> None:
    while (task := turn.take()) is not None:
        try:
            await command(task)
        except Exception as error:  # whatever a peer raises is the result of its run
            turn.failed(task, error)
        else:
            turn.done(task)
