"""A segment of a campaign: its own topics, workers and load, some trials, then the checker.

topics ─► workers ─► load … trials in lanes … ─► heal ─► dump ─► check ─► topics deleted
"""

import json
import random
import secrets
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from domain.contexts import CONTEXTS
from tests.faults import foreign_reader, logged, subscriber_rules
from tests.faults.checker import check
from tests.faults.cluster import Cluster
from tests.faults.harm import Claims, Field
from tests.faults.history import Fault
from tests.faults.report import Report
from tests.faults.resources import Bounds, Watch
from tests.faults.running import PARTITIONS, Served, running, served
from tests.faults.subscriber import Subscriber
from tests.faults.table import Planned
from tests.stack.isolation import delete_topics

SESSION_S = 2.0
MIN_ACCEPTED_SHARE = 0.5
"""Of all commands; in an outage, commands with exact versions rightly conflict."""
NEMESIS_CLIENT = 1_000
MAX_GIVEN_UP = 3
FOREIGN_WITHIN_S = 300.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a segment is run; `rate` is in commands a second, `lanes` how many trials go on at once."""

    seed: int
    rate: float = 300.0
    workers: int = 3
    lanes: int = 1
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
    began = time.monotonic()
    done = Done()
    with served(
        cluster.direct,
        prefix,
        folder,
        workers=setting.workers,
        session_s=setting.session_s,
        seed=setting.seed,
        copies=len(cluster.brokers),
        bootstraps={number: cluster.through_proxy(number) for number in range(setting.workers)},
    ) as serving:
        witness = _Witness(serving, setting.seed, len(cluster.brokers))
        fields = _fields(serving, cluster, setting)
        left = _under_load(fields, planned, done, setting, enough, say)
        exits = list(map(str, serving.workers.exits))
        say("checking")
        done.report = _checked(serving, witness, left, folder)
    _complete(done, exits, folder)
    done.seconds = time.monotonic() - began
    if done.report.broken:
        (folder / "report.json").write_text(done.report.text(), "utf-8")
    else:
        delete_topics(cluster.direct, prefix)
        shutil.rmtree(folder)
    return done


class _Witness:
    """Who looks on meanwhile: a subscriber of all events, and a watch on what workers take."""

    def __init__(self, serving: Served, seed: int, brokers: int) -> None:
        self.subscriber = Subscriber(serving.connection, serving.topics, PARTITIONS, seed)
        slots = serving.workers.slots
        self.watch = Watch(lambda: [slot.pid for slot in slots if slot.pid], Bounds.of(brokers))
        self.subscriber.start()
        self.watch.start()

    def finish(self) -> None:
        """Raises TimeoutError, KafkaException where the events cannot be read to their end."""
        self.watch.stop()
        self.subscriber.finish()


def _under_load(
    fields: Sequence[Field],
    planned: Sequence[Planned],
    done: Done,
    setting: Setting,
    enough: Callable[[], bool],
    say: Say,
) -> list[str]:
    """All trials, then rest; what did not come to rest."""
    given_up = []
    served, proxy = fields[0].served, fields[0].cluster.proxy
    with running(served, rate=setting.rate, seed=setting.seed) as under_load:
        try:
            _trials(fields, planned, done, enough, say)
        except TimeoutError as error:
            given_up.append(f"given up: {error}")
            say(given_up[-1])
        proxy.clear()
        say("healing")
        return [*given_up, *under_load.heal()]


def _checked(serving: Served, witness: _Witness, left: Sequence[str], folder: Path) -> Report:
    """The checker's report; topics that cannot be read to their end are a violation themselves."""
    report = Report()
    try:
        witness.finish()
        dump = serving.dump()
        torn = any(fault.evidence.get("decided") for fault in serving.history.faults)
        report = check(serving.history.operations, dump, torn=torn)
        subscriber_rules.check(witness.subscriber.seen, dump, report)
        _check_foreign(serving, report)
        if report.broken or left:
            logged.write(dump, folder / "dump.jsonl")
    except (KafkaException, TimeoutError) as error:
        report.violate("readable", f"the topics could not be read to their end: {error}")
    witness.watch.check(report)
    for what in left:
        report.violate("at-rest", what)
    return report


def _check_foreign(serving: Served, report: Report) -> None:
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
    report.counts["events_of_foreign_reader"] = found["events"]
    for name in found["wrong"]:
        report.violate("foreign-reader", f"{name} has not the versions 1..n")


def _fields(serving: Served, cluster: Cluster, setting: Setting) -> list[Field]:
    """One for each lane; they share nothing but the claims."""
    claims = Claims()
    return [
        Field(
            serving,
            cluster,
            random.Random(f"{setting.seed}/{lane}"),
            serving.fault_client(NEMESIS_CLIENT + lane, setting.seed),
            setting.session_s,
            claims,
        )
        for lane in range(setting.lanes)
    ]


def _trials(
    fields: Sequence[Field],
    planned: Sequence[Planned],
    done: Done,
    enough: Callable[[], bool],
    say: Say,
) -> None:
    """Those that bear company in lanes, then one by one those that do not."""
    left = deque(one for one in planned if not one.row.alone)

    def lane(on: Field) -> None:
        while left and not enough():
            with suppress(IndexError):
                _trial(on, left.popleft(), done, say)

    with ThreadPoolExecutor(len(fields), "lane") as lanes:
        ended = [lanes.submit(lane, on) for on in fields]
        wait(ended, return_when=FIRST_EXCEPTION)
        # What one could not bring to its end, nobody goes on from.
        left.clear()
    for future in ended:
        future.result()
    for one in planned:
        if one.row.alone and not enough():
            _trial(fields[0], one, done, say)


def _trial(on: Field, one: Planned, done: Done, say: Say) -> None:
    """Raises TimeoutError where several were given up: then it is not a busy machine."""
    say(f"{one.name} …")
    start = time.time()
    try:
        fault = one.row.harm(on, one.kind)
    except TimeoutError as error:
        fault = _given_up(on, one, start, error)
        if sum("given_up" in fault.evidence for fault in done.faults) >= MAX_GIVEN_UP:
            raise
    finally:
        on.end()
    done.faults.append(fault)
    took_s = fault.end - fault.start
    say(f"{one.name}: {'hit' if fault.sound else 'VOID'} in {took_s:.1f} s {fault.evidence}")


def _given_up(on: Field, one: Planned, start: float, error: TimeoutError) -> Fault:
    """A void trial: what hangs for good is found at the end, where all must come to rest."""
    found = Fault(
        fault=one.row.number,
        kind=one.kind,
        slot=-1,
        pid=0,
        start=start,
        end=time.time(),
        sound=False,
        evidence={"given_up": str(error)},
    )
    on.served.history.add(found)
    return found


def _complete(done: Done, exits: list[str], folder: Path) -> None:
    report = done.report
    report.faults, report.exits, report.folder = done.faults, exits, str(folder)
    share = report.counts["accepted"] / max(1, report.counts["commands"])
    if share < MIN_ACCEPTED_SHARE:
        report.void.append(f"only {share:.0%} of the commands were accepted")
