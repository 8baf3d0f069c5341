"""One seed, one run: a scheduler that picks what happens next, a virtual clock, and its faults.

seed ──► chaos ──► (clients │ worker tasks │ faults) ⟲ ──► healing ──► what must hold
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.simulation import chaos as chaotic
from tests.simulation.clients import some_command
from tests.simulation.cluster import Cluster
from tests.simulation.faults import Faults
from tests.simulation.promises import hold
from tests.simulation.witness import Violation
from tests.simulation.worker import Parts

WORK, SEND = 20.0, 3.0
"""Weights of steps and of commands, beside faults of at most 1 each."""
MAX_ROUNDS = 600
SLEEP_ROUNDS = 40
"""4 s, less than the time-out of a transaction."""


@dataclass(slots=True)
class Run:
    """What became of a seed; `tears` = transactions that a late EndTxn decided, `loud` = places
    that a worker refuses to serve and names, `restored` = states from snapshots that were compared.
    """

    seed: int
    violation: str = ""
    beats: int = 0
    events: int = 0
    answers: int = 0
    tears: int = 0
    repaired: int = 0
    restored: int = 0
    loud: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    trace: list[tuple[Any, ...]] = field(default_factory=list)


class Simulation:
    """`parts` are the shipped classes unless a bug is planted."""

    def __init__(self, seed: int, parts: Parts) -> None:
        self.random = Random(seed)
        self.cluster = Cluster(self.random, chaotic.drawn(self.random), parts)
        self.faults = Faults(self.cluster)

    def start(self) -> None:
        """Most runs begin with workers that have their places; the others with the first rebalance."""
        if self.random.random() < 0.8:
            for _ in range(MAX_ROUNDS):
                for worker in self.cluster.workers:
                    self.cluster.round(worker)
                if self.cluster.settled:
                    return

    def live(self) -> None:
        """Everything may happen."""
        cluster, chaos = self.cluster, self.cluster.chaos
        cluster.network.calm = False
        names = list(self.faults.by_name)
        weights = [WORK, SEND, *(chaos.weights[name] for name in names)]
        for _ in range(chaos.beats):
            cluster.broker.now_ms += self.random.randint(0, 60)
            kind = self.random.choices(("work", "send", *names), weights)[0]
            if kind == "work":
                self._work()
            elif kind == "send":
                for _ in range(self.random.randint(1, 4)):
                    cluster.send(some_command(self.random))
            else:
                self.faults.strike(kind)

    def _work(self) -> None:
        """A worker goes on: a few steps of whatever threads have something to do."""
        worker = self.random.choice(self.cluster.workers)
        if worker.paused:
            return
        for _ in range(self.random.randint(1, 30)):
            ready = worker.ready()
            if not ready or self.faults.stops(worker):
                return
            speeds = [self.cluster.chaos.speeds[task] for task in ready]
            self.cluster.step(worker, self.random.choices(ready, speeds)[0])
            if worker.ended:
                self.cluster.restart(worker)
                return

    # ── healing ──────────────────────────────────────────────────────────────────────────

    def heal(self) -> None:
        """No more faults; everybody works until nothing is left to do."""
        cluster, quiet = self.cluster, 0
        self._calm()
        if self.random.random() < 0.7:
            self._without_sleepers()
        for worker in cluster.workers:
            worker.paused = worker.deaf = False
        for _ in range(MAX_ROUNDS):
            moved = [cluster.round(worker) for worker in list(cluster.workers)]
            quiet = 0 if any(moved) or not cluster.settled else quiet + 1
            if quiet == 2:
                return
            cluster.bury()
            cluster.broker.now_ms += 250
            cluster.broker.expire_transactions()
        raise Violation(f"never quiet: {[worker.state() for worker in cluster.workers]}")

    def _calm(self) -> None:
        network = self.cluster.network
        while network.strays and self.random.random() < 0.5:
            network.stray_arrives()
        network.strays.clear()
        network.calm = True
        self.cluster.broker.down = False

    def _without_sleepers(self) -> None:
        """Those who are awake share what the others held and work, and one of them starts anew,
        all while the transactions of the sleepers are open.
        """
        workers = self.cluster.workers
        awake = [worker.slot for worker in workers if not worker.paused]
        if not awake or len(awake) == len(workers):
            return
        again = self.random.choice(awake)
        for number in range(SLEEP_ROUNDS):
            self.cluster.bury()
            for slot in awake:
                self.cluster.round(workers[slot])
            if number == SLEEP_ROUNDS // 2:
                self.cluster.restart(workers[again])
            self.cluster.broker.now_ms += 100


def simulate(seed: int, parts: Parts | None = None) -> Run:
    """Run a seed to its end; what was broken stands in the result."""
    simulation, run = Simulation(seed, parts or Parts()), Run(seed)
    cluster = simulation.cluster
    try:
        simulation.start()
        simulation.live()
        simulation.heal()
        run.loud = hold(cluster)
    except Violation as violation:
        run.violation = str(violation)
    except AssertionError as error:
        run.violation = f"assertion: {error!r}"
    run.beats, run.trace = cluster.chaos.beats, cluster.trace
    run.events = sum(map(len, cluster.witness.events.values()))
    run.answers = len(cluster.witness.said)
    run.tears, run.repaired = cluster.broker.tears, cluster.repaired
    run.restored = cluster.restored
    run.faults = simulation.faults.counts
    run.digest = hashlib.sha256(repr(run.trace).encode()).hexdigest()[:16]
    return run
