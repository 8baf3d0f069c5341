"""A fault campaign: segment after segment until the time is up; results are appended to a file.

results so far ─► the kinds that lack trials most ─► segment ─► checker ─► results … ─► table

exit 0 every promise held · 1 one was broken: history, dump and logs stay in the folder that is named
"""

import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
TRIALS_OF_THREE = 8
DISK_MB = 3_000
"""Of the single broker's log, in memory: a segment writes some hundred MB."""
THREE_EVERY = 6
"""Segments; three brokers take the machine, so they are started for few segments."""


@dataclass(slots=True)
class Campaign:
    """`until` is a time of the monotonic clock; `ended` may be set from a signal handler."""

    results: Results
    setting: Setting
    until: float
    only: Sequence[str] = ()
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="flexcore-faults-")))
    say: Say = print
    ended: bool = False

    def run(self) -> Summary:
        """Segments until the time is up, a promise broke, or somebody ended it."""
        with self._clusters() as cluster_of:
            while not self._enough():
                found = self.results.summary()
                number = found.segments + 1
                brokers = self._brokers(number)
                # Not the same trials in the same order again when a file is continued.
                setting = Setting(
                    seed=self.setting.seed + number,
                    rate=self.setting.rate / brokers,
                    workers=self.setting.workers,
                    lanes=self.setting.lanes,
                )
                planned = plan(found, brokers, self.only, random.Random(setting.seed))
                self.say(f"segment {number}, seed {setting.seed}, {brokers} broker(s)")
                done = segment.run(
                    cluster_of(brokers),
                    planned,
                    self.folder / f"segment-{number}",
                    setting,
                    enough=self._enough,
                    say=self.say,
                )
                self.results.append(number, setting.seed, brokers, done)
                self.say(f"segment {number}: {_verdict(done)}")
                if done.report.broken:
                    break
        return self.results.summary()

    def _enough(self) -> bool:
        return self.ended or time.monotonic() > self.until

    def _brokers(self, number: int) -> int:
        possible = {one.row.brokers for one in all_trials(self.only)}
        if len(possible) == 1:
            return possible.pop()
        return 3 if number % THREE_EVERY == 0 else 1

    @contextmanager
    def _clusters(self) -> Iterator[Callable[[int], Cluster]]:
        """Gives the cluster with so many brokers; only one runs at a time."""
        running: dict[int, Cluster] = {}

        def cluster_of(brokers: int) -> Cluster:
            for number in set(running) - {brokers}:
                running.pop(number).stop()
            if brokers not in running:
                name = f"cluster-{brokers}-{int(time.time())}"
                cluster = running[brokers] = Cluster(
                    self.folder / name,
                    nodes=brokers,
                    slots=self.setting.workers,
                    disk_mb=DISK_MB if brokers == 1 else 0,
                )
                cluster.start()
            return running[brokers]

        try:
            yield cluster_of
        finally:
            for cluster in running.values():
                cluster.stop()


def plan(found: Summary, brokers: int, only: Sequence[str], chance: random.Random) -> list[Planned]:
    """The kinds that lack most of their trials, in a random order."""
    kinds = [one for one in all_trials(only) if one.row.brokers == brokers]
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
    minutes: float, seed: int, file: Path, only: Sequence[str] = (), rate: float = 300.0
) -> int:
    """Run a campaign of so many minutes; Ctrl-C ends it once the current segment is checked."""
    unknown = set(only) - {name for one in all_trials() for name in (one.row.number, one.name)}
    if unknown:
        rows = sorted({one.row.number for one in all_trials()})
        raise Invalid(
            "faults.unknown",
            f"no fault is called {', '.join(sorted(unknown))}; there are {', '.join(rows)}",
        )
    campaign = Campaign(
        Results(file),
        Setting(seed=seed, rate=rate, workers=WORKERS, lanes=LANES),
        time.monotonic() + minutes * 60,
        only,
    )
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
