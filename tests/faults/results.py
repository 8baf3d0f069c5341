"""The file of a campaign: a JSON line per trial and per segment, appended, so that it can be spread.

{"trial": "F01 after_commit", …evidence…}   {"segment": 3, "commands": 41022, "broken": {}, …}

Each line has the seed and the commit it was done with. Campaigns may run side by side on one file: each
goes on with what lacks most at the start of its next segment.
"""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from services.embedded.jars import ROOT
from tests.faults.history import Fault
from tests.faults.segment import Done
from tests.faults.table import Planned

MEASURES = ("answers_again_s", "commands_flow_s")
"""Evidence that is a time; the summary gives its median and maximum."""


@dataclass(slots=True)
class Kind:
    """All trials of one kind."""

    trials: int = 0
    void: int = 0
    evidence: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Summary:
    """What a file holds, added up."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    segments: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    void: list[str] = field(default_factory=list)

    @property
    def trials(self) -> int:
        """Those that hit."""
        return sum(kind.trials for kind in self.kinds.values())

    def sound_of(self, planned: Planned) -> int:
        kind = self.kinds.get(planned.name)
        return 0 if kind is None else kind.trials


class Results:
    """Appends to the file, and reads it whole."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._commit = commit()

    def append(self, number: int, seed: int, brokers: int, done: Done) -> None:
        """A segment and its trials; trials of a segment that proves nothing are void."""
        report = done.report
        verdict = "violated" if report.broken else "void" if report.void else "held"
        lines = [
            _trial(fault, number, seed, verdict, report.counts["commands"])
            for fault in report.faults
        ]
        lines.append(
            {
                "segment": number,
                "seed": seed,
                "brokers": brokers,
                "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "seconds": round(done.seconds, 1),
                "verdict": verdict,
                "broken": dict(report.broken),
                "void": report.void,
                "counts": dict(sorted(report.counts.items())),
                "folder": report.folder if report.broken else "",
            }
        )
        text = "".join(json.dumps(line | {"commit": self._commit}) + "\n" for line in lines)
        # In one piece: campaigns side by side append to one file.
        with self._file.open("ab", buffering=0) as file:
            file.write(text.encode())

    def summary(self) -> Summary:
        """Everything in the file; an empty one where there is no file."""
        if not self._file.exists():
            return Summary()
        with self._file.open(encoding="utf-8") as file:
            return summarized(json.loads(line) for line in file)


def commit() -> str:
    """What is checked out, with a + where files were changed since; empty without a repository."""
    ran = subprocess.run(
        ["git", "describe", "--always", "--abbrev=9", "--dirty=+"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout.strip()


def _trial(fault: Fault, segment: int, seed: int, verdict: str, commands: int) -> dict[str, Any]:
    return {
        "trial": f"{fault.fault} {fault.kind}",
        "segment": segment,
        "seed": seed,
        "slot": fault.slot,
        "start": round(fault.start, 3),
        "seconds": round(fault.end - fault.start, 2),
        "verdict": verdict if fault.sound else "void",
        "commands_of_segment": commands,
        "evidence": fault.evidence,
    }


def summarized(lines: Iterable[dict[str, Any]]) -> Summary:
    """The sum of all lines."""
    found = Summary()
    for line in lines:
        if "trial" in line:
            _add(found.kinds.setdefault(line["trial"], Kind()), line)
        else:
            found.segments += 1
            found.counts.update(line["counts"])
            found.broken.update(line["broken"])
            found.void += [f"segment {line['segment']}: {why}" for why in line["void"]]
    return found


def _add(kind: Kind, line: dict[str, Any]) -> None:
    if line["verdict"] == "void":
        kind.void += 1
        return
    kind.trials += 1
    evidence = line["evidence"]
    kind.seconds += [evidence[name] for name in MEASURES if name in evidence]
    kind.evidence["repaired"] += evidence.get("committed_event_missing", 0) > 0
    kind.evidence["decided by a stray"] += bool(evidence.get("decided"))
    kind.evidence["stray refused"] += evidence.get("error") in (47, 48, 90)


def table(found: Summary) -> str:
    """The summary for people."""
    lines = [f"{'fault':<36} {'trials':>7} {'void':>5} {'back again s, median / most':>28}  notes"]
    for name, kind in sorted(found.kinds.items()):
        times = sorted(kind.seconds)
        back = f"{median(times):.1f} / {times[-1]:.1f}" if times else ""
        notes = ", ".join(f"{what}: {count}" for what, count in kind.evidence.items() if count)
        lines.append(f"{name:<36} {kind.trials:>7} {kind.void:>5} {back:>28}  {notes}")
    counts = found.counts
    lines.append(
        f"{found.segments} segments, {found.trials} trials, {counts['commands']} commands, "
        f"{counts['accepted']} accepted, {counts['events']} events, {counts['executions']} runs, "
        f"{counts['aborted_events']} aborted events unseen, "
        f"{sum(found.broken.values())} violations {dict(found.broken) or ''}".rstrip()
    )
    return "\n".join([*lines, *found.void])
