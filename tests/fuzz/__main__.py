"""./flexcore fuzz [--seconds 60] [TARGET …]: looks for inputs that bring about anything undocumented.

lock ─► environment with atheris ─► a process per target ─► what it found, as files ─► exit 1 if anything

    ./flexcore fuzz --input FILE TARGET     runs one input again, in this process and without atheris

What was found is mended with its input kept in tests/fuzz/corpus/<target>, which the tests run.
"""

import argparse
import os
import re
import subprocess
import sys
import sysconfig
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.environments import NotAvailable, installed
from tests.fuzz.targets import CORPUS, TARGETS, target

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "tools" / "fuzz.lock"
CACHE = ROOT / ".cache" / "fuzz"
MAX_BYTES = 4_096
INPUT_S = 30
MEMORY_MB = 2_048
_EVERY_S = 10.0

_STATUS = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+)")


@dataclass(frozen=True, slots=True)
class Result:
    """How far a target came; `found` are the inputs that it stopped at, one at most."""

    name: str
    runs: int
    branches: int
    took_s: float
    found: list[Path]
    failed: bool


def main() -> int:
    asked = _arguments()
    if asked.input is not None:
        return again(asked.targets[0], asked.input)
    try:
        programs = installed(LOCK, CACHE / "environment")
    except NotAvailable as error:
        print(f"error[setup.no_atheris]: {error}", file=sys.stderr)
        return 1
    results = [fuzzed(name, programs / "python", asked.seconds) for name in asked.targets]
    print()
    for one in results:
        verdict = "FOUND" if one.found else "FAILED" if one.failed else "nothing found"
        print(f"{one.name:<16}{one.runs:>12,} inputs{one.branches:>8,} branches  {verdict}")
    return int(any(one.failed for one in results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="flexcore fuzz", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--input", type=Path, help="a file to run again; one target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    asked = parser.parse_args()
    unknown = [name for name in asked.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no target {unknown[0]!r}; known: {', '.join(TARGETS)}")
    if asked.input is not None and len(asked.targets) != 1:
        parser.error("--input takes one target")
    asked.targets = asked.targets or list(TARGETS)
    return asked


def again(name: str, file: Path) -> int:
    """Run one input; its traceback and 1 where it brings about anything undocumented."""
    try:
        target(name).check(file.read_bytes())
    except Exception:
        traceback.print_exc()
        return 1
    print(f"{name}: {file} brings about nothing undocumented")
    return 0


def fuzzed(name: str, python: Path, seconds: int) -> Result:
    """Run a target for so long; its progress is told every ten seconds."""
    corpus, findings = CACHE / name / "corpus", CACHE / name / "findings"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    known = set(findings.iterdir())
    for number, seed in enumerate(target(name).seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    print(f"{name}: {TARGETS[name]}", flush=True)
    log = CACHE / name / "log"
    began = time.monotonic()
    runs = branches = 0
    process = _started(name, python, seconds, corpus, findings)
    for inputs, found, elapsed_s in _progress(process, log):
        runs, branches = inputs, found
        print(f"  {elapsed_s:>4.0f} s {runs:>10,} inputs {branches:>6,} branches", flush=True)
    code = process.wait()
    new = sorted(set(findings.iterdir()) - known)
    for file in new:
        shown = file.relative_to(ROOT)
        print(f"  found: {shown}\n  again: ./flexcore fuzz --input {shown} {name}")
    if code != 0:
        print("\n".join(f"  | {line}" for line in _last_lines(log)), flush=True)
    return Result(name, runs, branches, time.monotonic() - began, new, code != 0)


def _started(
    name: str, python: Path, seconds: int, corpus: Path, findings: Path
) -> subprocess.Popen[str]:
    recorded = [str(CORPUS / name)] if (CORPUS / name).is_dir() else []
    # Our own packages come from the environment that this runs in: both are of one Python.
    paths = [str(ROOT), sysconfig.get_path("platlib"), sysconfig.get_path("purelib")]
    return subprocess.Popen(
        [
            str(python),
            "-m",
            "tests.fuzz.under_atheris",
            name,
            f"-max_total_time={seconds}",
            f"-max_len={MAX_BYTES}",
            f"-timeout={INPUT_S}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-artifact_prefix={findings}/",
            "-print_final_stats=1",
            str(corpus),
            *recorded,
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _progress(process: subprocess.Popen[str], log: Path) -> Iterator[tuple[int, int, float]]:
    """(inputs, branches, seconds) every ten seconds and at the end; all that is printed goes to `log`."""
    began = last = time.monotonic()
    runs = branches = 0
    assert process.stdout is not None
    with log.open("w") as kept:
        for line in process.stdout:
            kept.write(line)
            if status := _STATUS.match(line):
                runs, branches = int(status[1]), int(status[2])
            if line.startswith("stat::number_of_executed_units:"):
                runs = int(line.split()[-1])
            if time.monotonic() - last >= _EVERY_S:
                last = time.monotonic()
                yield runs, branches, last - began
    yield runs, branches, time.monotonic() - began


def _last_lines(log: Path) -> list[str]:
    """What is worth reading of a target that stopped: the exception, or libFuzzer's last words."""
    lines = log.read_text("utf-8", "replace").splitlines()
    start = next((n for n, line in enumerate(lines) if "Uncaught Python exception" in line), None)
    return lines[-15:] if start is None else lines[start : start + 40]


if __name__ == "__main__":
    sys.exit(main())
