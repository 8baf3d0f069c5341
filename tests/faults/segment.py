"""A segment of a campaign: its own topics, workers and load, some trials, then the checker.

topics ─► workers ─► load … trial, trial, trial … ─► heal ─► dump ─► check ─► topics deleted
"""

import json
import random
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from domain.contexts import CONTEXTS
from tests.faults import foreign_reader, logged, subscriber_rules
from tests.faults.checker import check
from tests.faults.cluster import Cluster
from tests.faults.harm import Field
from tests.faults.history import Fault
from tests.faults.report import Report
from tests.faults.resources import Watch
from tests.faults.running import PARTITIONS, Served, running, served
from tests.faults.subscriber import Subscriber
from tests.faults.table import Planned
from tests.stack.isolation import delete_topics

SESSION_S = 2.0
MIN_ACCEPTED_SHARE = 0.5
"""Of all commands; in an outage, commands with exact versions rightly conflict."""
NEMESIS_CLIENT = 1_000
FOREIGN_WITHIN_S = 300.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a segment is run; `rate` is in commands a second."""

    seed: int
    rate: float = 300.0
    workers: int = 3
    session_s: float = SESSION_S


@dataclass(slots=True)
class Done:
    """A segment's end: the trials it came to, and the checker's report over all of them."""

    faults: list[Fault] = field(default_factory=list)
    report: Report = field(default_factory=Report)
    seconds: float = 0.0


def run(
    cluster: Cluster,
    planned: Sequence[Planned],
    folder: Path,
    setting: Setting,
    *,
    enough: Callable[[], bool] = lambda: False,
    say: Say = lambda _: None,
) -> Done:
    """Do the planned trials until all are done or `enough`; keeps `folder` where a promise broke."""
    prefix = f"faults{secrets.token_hex(3)}"
    slots = {number: cluster.through_proxy(number) for number in range(setting.workers)}
    began = time.monotonic()
    done = Done()
    stopped: list[str] = []
    with served(
        cluster.direct,
        prefix,
        folder,
        workers=setting.workers,
        session_s=setting.session_s,
        seed=setting.seed,
        copies=len(cluster.brokers),
        bootstraps=slots,
    ) as serving:
        field_ = _field(serving, cluster, setting)
        follower = Subscriber(serving.connection, serving.topics, PARTITIONS, setting.seed)
        watch = Watch(lambda: [slot.pid for slot in serving.workers.slots if slot.pid])
        follower.start()
        watch.start()
        with running(serving, rate=setting.rate, seed=setting.seed) as under_load:
            try:
                _trials(field_, planned, done, enough, say)
            except TimeoutError as error:
                stopped.append(f"given up: {error}")
                say(stopped[-1])
            cluster.proxy.clear()
            say("healing")
            left = under_load.heal()
        watch.stop()
        follower.finish()
        exits = list(serving.workers.exits)
        say("checking")
        dump = serving.dump()
        foreign = _foreign(serving)
    done.report = check(serving.history.operations, dump)
    subscriber_rules.check(follower.seen, dump, done.report)
    watch.check(done.report)
    for name in foreign["wrong"]:
        done.report.violate("foreign-reader", f"{name} has not the versions 1..n")
    done.report.counts["events_of_foreign_reader"] = foreign["events"]
    _complete(done, [*left, *stopped], [str(one) for one in exits], folder)
    done.seconds = time.monotonic() - began
    if done.report.broken:
        logged.write(dump, folder / "dump.jsonl")
    else:
        delete_topics(cluster.direct, prefix)
        shutil.rmtree(folder)
    return done


def _foreign(serving: Served) -> dict[str, Any]:
    """What a consumer that is not ours finds."""
    script = Path(foreign_reader.__file__)
    topics = [serving.topics.events(context) for context in CONTEXTS]
    ran = subprocess.run(
        [sys.executable, script, serving.connection.bootstrap, *topics],
        stdout=subprocess.PIPE,
        timeout=FOREIGN_WITHIN_S,
        check=True,
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def _field(serving: Served, cluster: Cluster, setting: Setting) -> Field:
    return Field(
        serving,
        cluster,
        random.Random(setting.seed),
        serving.fault_client(NEMESIS_CLIENT, setting.seed),
        setting.session_s,
    )


def _trials(
    on: Field,
    planned: Sequence[Planned],
    done: Done,
    enough: Callable[[], bool],
    say: Say,
) -> None:
    for number, one in enumerate(planned, start=1):
        if enough():
            return
        say(f"{number}/{len(planned)} {one.name} …")
        fault = one.row.harm(on, one.kind)
        done.faults.append(fault)
        took_s = fault.end - fault.start
        say(f"{one.name}: {'hit' if fault.sound else 'VOID'} in {took_s:.1f} s {fault.evidence}")


def _complete(done: Done, left: Sequence[str], exits: list[str], folder: Path) -> None:
    report = done.report
    report.faults, report.exits, report.folder = done.faults, exits, str(folder)
    for what in left:
        report.violate("at-rest", what)
    share = report.counts["accepted"] / max(1, report.counts["commands"])
    if share < MIN_ACCEPTED_SHARE:
        report.void.append(f"only {share:.0%} of the commands were accepted")
