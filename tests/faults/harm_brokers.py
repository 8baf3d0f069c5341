"""Faults done to brokers.

F06 the only broker: kill -9, restart         F07 one, each, or two of three brokers
"""

import time

from tests.faults.cluster import Broker
from tests.faults.harm import RECOVERED_WITHIN_S, Field, Trial, rest
from tests.faults.history import Fault
from tests.faults.workers import until


def restart(on: Field, kind: str) -> Fault:
    """kill -9 (or SIGTERM) of the only broker; it comes back at once or after a while."""
    trial = Trial(on, "F06", kind)
    outstanding = on.busy()
    broker = on.cluster.brokers[0]
    down_s = on.chance.choice((0.0, 1.0, 4.0))
    pid = on.cluster.kill(broker) if kind == "kill" else on.cluster.end(broker)
    gone = not broker.alive
    rest(down_s)
    on.cluster.restart(broker)
    trial.hit(outstanding=outstanding, broker=pid, gone=gone, down_s=down_s)
    _flow(on, trial)
    return trial.done(sound=gone and outstanding > 0)


def _flow(on: Field, trial: Trial) -> None:
    """Wait for the first answer, then for all workers; how long that took from now."""
    board, since = on.served.board, time.monotonic()
    answers = board.accepted
    until(lambda: board.accepted > answers, RECOVERED_WITHIN_S, "commands that flow again")
    trial.hit(commands_flow_s=round(time.monotonic() - since, 2))
    trial.recovered(*on.served.workers.slots)
    trial.hit(all_workers_s=round(time.monotonic() - since, 2))


def of_three(on: Field, kind: str) -> Fault:
    """kill -9 of one broker, of each in turn, or of two at once, which stops writing."""
    trial = Trial(on, "F07", kind)
    on.busy()
    brokers = on.chance.sample(on.cluster.brokers, len(on.cluster.brokers))
    if kind == "leader":
        brokers = [_leader(on), *brokers]
    steps = {"leader": [brokers[:1]], "any": [brokers[:1]], "two at once": [brokers[:2]]}
    killed = []
    for step in steps.get(kind, [[broker] for broker in brokers]):
        killed += [on.cluster.kill(broker) for broker in step]
        rest(on.chance.choice((0.5, 3.0)))
        for broker in step:
            on.cluster.restart(broker)
    trial.hit(killed=killed)
    _flow(on, trial)
    return trial.done(sound=bool(killed))


def _leader(on: Field) -> Broker:
    """The broker that leads the first partition of the pipelines' events."""
    topic = on.served.topics.events("pipeline")
    found = on.served.producer.list_topics(topic, 10.0)
    leader = found.topics[topic].partitions[0].leader
    return next(broker for broker in on.cluster.brokers if broker.number == leader)
