"""Many seeds, recorded: `python -m tests.simulation.campaign --seeds 200000 --out FILE`.

seeds ──► pieces of 500 ──► one JSON line each, appended; a piece that stands in FILE is not run again
--seed N [--trace] runs one seed and shows what happened in it
"""

import argparse
import json
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.simulation.simulation import Run, simulate

PIECE = 500
COUNTS = ("beats", "events", "answers", "tears", "repaired", "restored", "loud")


@contextmanager
def quiet_logs() -> Iterator[None]:
    """The write path reports each fault; a run has dozens, on purpose."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


def totals(runs: Iterable[Run]) -> dict[str, Any]:
    """Sums over runs, and the seeds that broke a promise."""
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    violations = []
    for run in runs:
        counts["seeds"] += 1
        counts.update({name: getattr(run, name) for name in COUNTS})
        faults.update(run.faults)
        if run.violation:
            violations.append({"seed": run.seed, "violation": run.violation[:2_000]})
    return {**counts, "faults": dict(sorted(faults.items())), "violations": violations}


def piece(first: int, count: int) -> dict[str, Any]:
    """Run `count` seeds from `first` on."""
    with quiet_logs():
        return {"first": first, **totals(simulate(seed) for seed in range(first, first + count))}


def done_before(out: Path) -> dict[int, dict[str, Any]]:
    """The pieces that stand in a file, by their first seed."""
    if not out.exists():
        return {}
    lines = [json.loads(line) for line in out.read_text().splitlines() if line.strip()]
    return {line["first"]: line for line in lines}


def run_all(first: int, seeds: int, jobs: int, out: Path, console: Console) -> int:
    """Run what is not done yet; returns the number of violations in the whole file."""
    done = done_before(out)
    todo = [
        (start, min(PIECE, first + seeds - start))
        for start in range(first, first + seeds, PIECE)
        if start not in done
    ]
    columns = (TextColumn("seeds"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    context = multiprocessing.get_context("spawn")
    with (
        Progress(*columns, console=console) as progress,
        ProcessPoolExecutor(jobs, mp_context=context) as pool,
        out.open("a") as file,
    ):
        task = progress.add_task("", total=seeds, completed=seeds - sum(n for _, n in todo))
        for future in as_completed([pool.submit(piece, *one) for one in todo]):
            line = future.result()
            done[line["first"]] = line
            file.write(json.dumps(line) + "\n")
            file.flush()
            progress.advance(task, line["seeds"])
            for found in line["violations"]:
                progress.console.print(f"[red]seed {found['seed']}[/]: {found['violation'][:400]}")
                show(found["seed"], progress.console, trace=True)
    return summary(done.values(), console)


def summary(lines: Iterable[dict[str, Any]], console: Console) -> int:
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    violations = 0
    for line in lines:
        counts.update({name: line[name] for name in ("seeds", *COUNTS)})
        faults.update(line["faults"])
        violations += len(line["violations"])
    console.print(json.dumps({**counts, "faults": dict(faults), "violations": violations}))
    return violations


def show(seed: int, console: Console, *, trace: bool) -> Run:
    """Run one seed again and print it."""
    with quiet_logs():
        run = simulate(seed)
    if trace:
        for at_ms, *what in run.trace:
            line = f"{at_ms / 1000:9.3f}  {' '.join(map(str, what))}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    said = run.violation or "all promises hold"
    console.print(f"seed {seed}, trace {run.digest}: {said}", markup=False, soft_wrap=True)
    return run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000)
    parser.add_argument("--from", dest="first", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("simulation.jsonl"))
    parser.add_argument("--seed", type=int)
    parser.add_argument("--trace", action="store_true")
    given = parser.parse_args()
    console = Console()
    if given.seed is not None:
        return 1 if show(given.seed, console, trace=given.trace).violation else 0
    return 1 if run_all(given.first, given.seeds, given.jobs, given.out, console) else 0


if __name__ == "__main__":
    sys.exit(main())
