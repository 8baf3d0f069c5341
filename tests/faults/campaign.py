"""A fault campaign: segment after segment until the time is up; results are appended to a file.

results so far ─► the kinds that lack trials most ─► segment ─► checker ─► results … ─► table

exit 0 every promise held · 1 one was broken: history, dump and logs stay in the folder that is named
"""

import random
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from domain.errors import Invalid
from tests.faults import results, segment
from tests.faults.cluster import Cluster
from tests.faults.results import Results, Summary
from tests.faults.segment import Say, Setting
from tests.faults.table import Planned, all_trials

WORKERS, LANES = 4, 3
"""Three trials at once share a broker and a load, and one worker is nobody's victim."""
TRIALS = 45
"""Per segment: some four minutes, after which the memory of history and dump is given back."""
TRIALS_OF_THREE = 20
DISK_MB = 3_000
"""Of the single broker's log, in memory: a segment writes some hundred MB."""
RATE = 60.0
"""Commands a second: enough that each trial meets some hundreds, few enough for three trials at once."""


@dataclass(slots=True)
class Campaign:
    """`until` is a time of the monotonic clock; `ended` may be set from a signal handler."""

    results: Results
    setting: Setting
    until: float
    only: Sequence[str] = ()
    brokers: int = 1
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="flexcore-faults-")))
    say: Say = print
    ended: bool = False

    def run(self) -> Summary:
        """Segments until the time is up, a promise broke, or somebody ended it."""
        with self._cluster() as cluster:
            while not self._enough():
                found = self.results.summary()
                number = found.segments + 1
                # Not the same trials in the same order again when a file is continued.
                setting = Setting(
                    seed=self.setting.seed + number,
                    rate=self.setting.rate,
                    workers=self.setting.workers,
                    lanes=self.setting.lanes,
                )
                planned = plan(found, self.brokers, self.only, random.Random(setting.seed))
                self.say(f"segment {number}, seed {setting.seed}, {self.brokers} broker(s)")
                done = segment.run(
                    cluster,
                    planned,
                    self.folder / f"segment-{number}",
                    setting,
                    enough=self._enough,
                    say=self.say,
                )
                self.results.append(number, setting.seed, self.brokers, done)
                self.say(f"segment {number}: {_verdict(done)}")
                if done.report.broken:
                    break
        return self.results.summary()

    def _enough(self) -> bool:
        return self.ended or time.monotonic() > self.until

    @contextmanager
    def _cluster(self) -> Iterator[Cluster]:
        cluster = Cluster(
            self.folder / "cluster",
            nodes=self.brokers,
            slots=self.setting.workers,
            disk_mb=DISK_MB if self.brokers == 1 else 0,
        )
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def plan(found: Summary, brokers: int, only: Sequence[str], chance: random.Random) -> list[Planned]:
    """The kinds that lack most of their trials, in a random order."""
    kinds = [one for one in all_trials(only) if one.row.brokers in (0, brokers)]
    so_far = {one.name: found.sound_of(one) for one in kinds}
    chosen = []
    for _ in range(TRIALS if brokers == 1 else TRIALS_OF_THREE):
        chance.shuffle(kinds)
        least = min(kinds, key=lambda one: so_far[one.name] / one.row.wanted)
        so_far[least.name] += 1
        chosen.append(least)
    chance.shuffle(chosen)
    return chosen


def _verdict(done: segment.Done) -> str:
    report = done.report
    counts = f"{report.counts['commands']} commands, {report.counts['events']} events"
    if report.broken:
        return f"BROKEN {dict(report.broken)}; {counts}; see {report.folder}"
    return f"held; {counts}, {len(report.faults)} trials {report.void or ''}".rstrip()


def main(
    minutes: float,
    seed: int,
    file: Path,
    only: Sequence[str] = (),
    rate: float = RATE,
    brokers: int = 1,
) -> int:
    """Run a campaign of so many minutes; Ctrl-C ends it once the current segment is checked."""
    unknown = set(only) - {name for one in all_trials() for name in (one.row.number, one.name)}
    if unknown:
        rows = sorted({one.row.number for one in all_trials()})
        raise Invalid(
            "faults.unknown",
            f"no fault is called {', '.join(sorted(unknown))}; there are {', '.join(rows)}",
        )
    setting = Setting(seed=seed, rate=rate, workers=WORKERS, lanes=LANES)
    until = time.monotonic() + minutes * 60
    campaign = Campaign(Results(file), setting, until, only, brokers)
    # librdkafka tells of every connection that a fault refuses.
    log = (campaign.folder / "campaign.log").open("w", encoding="utf-8")
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(log))

    def end(*_: object) -> None:
        campaign.ended = True
        campaign.say("ending: the current trial, then the check")

    signal.signal(signal.SIGINT, end)
    found = campaign.run()
    print(results.table(found))
    return 1 if found.broken else 0
