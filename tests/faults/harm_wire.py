"""Faults on the way between a worker and Kafka, done by the proxy or by a thief of transactional ids.

F03 a second producer takes the transactional id         F09 no bytes pass, in one direction or both
F04 a late EndTxn decides a later transaction            F10 slow, jumpy, narrow, half-open
"""

import time
from contextlib import suppress
from typing import Any

from confluent_kafka import Producer

from streams.kafka_writer import transactional_ids
from tests.faults.harm import Field, Trial, rest
from tests.faults.history import Fault
from tests.faults.proxy_rules import Rule, Shape
from tests.faults.wire import Api
from tests.faults.workers import until

STRAY_WITHIN_S = 40.0
NOTICED_WITHIN_S = 20.0
REPAIRS = ("committed_event_missing", "transaction_failed", "partition_not_opened")
STRAYS = {"late commit": "stray", "late abort": "copy"}
"""The commit is a real one that librdkafka sends again; the abort is what an earlier one would be."""
WRITTEN = (Api.ADD_PARTITIONS_TO_TXN, Api.ADD_OFFSETS_TO_TXN)
MOMENTS = (WRITTEN, WRITTEN, (Api.TXN_OFFSET_COMMIT,), (Api.END_TXN,))
"""When a stray arrives; most often where FACTS saw it do harm: some events are written, offsets not."""
BURST = 400
"""Commands at once: only in a turn of hundreds are events written before the offsets are sent."""
REFUSED = (47, 48, 90)
"""INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, PRODUCER_FENCED."""


def stray(on: Field, kind: str) -> Fault:
    """KAFKA-17754: an EndTxn that was sent again (commit) or of an older abort decides what runs now."""
    slot = on.victim()
    trial = Trial(on, "F04", kind, slot)
    before = on.chance.choice(MOMENTS)
    rule = Rule(
        name=f"stray {trial.start}",
        slot=slot.number,
        apis=(Api.END_TXN,),
        action=STRAYS[kind],
        commits=True,
        skip=on.chance.randint(0, 20),
        before=before,
        written=before is WRITTEN,
    )
    proxy = on.cluster.proxy
    since = proxy.add(rule)
    found: list[dict[str, Any]] = []

    def delivered() -> bool:
        found[:] = [e for e in proxy.events(since) if e["rule"] == rule.name and "error" in e]
        return bool(found)

    deadline = time.monotonic() + STRAY_WITHIN_S
    while not delivered() and time.monotonic() < deadline:
        on.client.burst(BURST)
        rest(0.3)
    proxy.clear(slot.number)
    trial.recovered()
    event = found[0] if found else {}
    wanted = ("moment", "error", "decided", "late_s")
    trial.hit(**{name: event.get(name) for name in wanted}, **trial.said(*REPAIRS))
    return trial.done(sound=event.get("error") in (0, *REFUSED))


def theft(on: Field, kind: str) -> Fault:
    """Another producer initializes a worker's transactional ids."""
    slot = on.victim()
    trial = Trial(on, "F03", kind, slot)
    on.busy()
    ids = transactional_ids(f"{on.served.topics.worker_group}-{slot.number}")
    stolen = [on.chance.choice(ids)] if kind == "one id" else ids
    for transactional_id in stolen:
        thief = Producer(on.served.connection.client(transactional_id=transactional_id))
        thief.init_transactions(30.0)
    noticed = False
    # Producers that were recycled meanwhile have taken their ids back before they missed them.
    with suppress(TimeoutError):
        until(
            lambda: bool(trial.said("transaction_failed")) or slot.pid != trial.pid,
            NOTICED_WITHIN_S,
            "the loss to be noticed",
        )
        noticed = True
    trial.recovered()
    trial.hit(stolen=stolen, same_process=slot.pid == trial.pid, **trial.said(*REPAIRS))
    return trial.done(sound=noticed)


PARTITIONED = {
    "both ways": Shape(closed="up down"),
    "to the broker": Shape(closed="up"),
    "from the broker": Shape(closed="down"),
    "refused": Shape(refuses=True),
}
SLOWED = {
    "latency": Shape(delay_s=0.1),
    "jitter": Shape(delay_s=0.05, jitter_s=0.1),
    "stalls": Shape(stall_share=0.05, stall_s=0.4),
    "narrow": Shape(bytes_per_s=125_000.0),
}


def partition(on: Field, kind: str) -> Fault:
    """A worker and Kafka do not hear each other for a while."""
    slot = on.victim()
    trial = Trial(on, "F09", kind, slot)
    outstanding = on.busy()
    board, proxy, pid = on.served.board, on.cluster.proxy, trial.pid
    seconds = on.chance.choice((1.0, 3.0, 6.0, 9.0))
    proxy.shape(slot.number, PARTITIONED[kind])
    # What had passed before is still answered.
    rest(0.3)
    silent, others = board.answers_of(pid), board.answers_by_others(pid)
    rest(seconds)
    silent = board.answers_of(pid) - silent
    others = board.answers_by_others(pid) - others
    proxy.clear(slot.number)
    if kind == "both ways" and on.chance.random() < 0.5:
        # A network that comes back has often forgotten the connections.
        proxy.cut(slot.number)
    trial.hit(outstanding=outstanding, seconds=seconds, answers=silent, answers_of_others=others)
    trial.recovered()
    trial.hit(same_process=slot.pid == pid, **trial.said(*REPAIRS))
    return trial.done(sound=outstanding > 0 and silent == 0)


def slow(on: Field, kind: str) -> Fault:
    """A worker's connections carry bytes late, in jumps, or few at a time."""
    slot = on.victim()
    trial = Trial(on, "F10", kind, slot)
    proxy = on.cluster.proxy
    shaped = proxy.shaped(slot.number)
    proxy.shape(slot.number, SLOWED[kind])
    began = time.monotonic()
    rest(on.chance.uniform(3.0, 6.0))
    shaped = proxy.shaped(slot.number) - shaped
    proxy.clear(slot.number)
    trial.hit(seconds=round(time.monotonic() - began, 1), slowed_chunks=shaped)
    trial.recovered()
    trial.hit(same_process=slot.pid == trial.pid, **trial.said(*REPAIRS))
    return trial.done(sound=shaped > 10)


def half_open(on: Field, kind: str) -> Fault:
    """The connections are there, but nobody is behind them: bytes vanish until they are cut."""
    slot = on.victim()
    trial = Trial(on, "F10", kind, slot)
    board, proxy, pid = on.served.board, on.cluster.proxy, trial.pid
    proxy.shape(slot.number, Shape(closed="down"))
    rest(0.3)
    silent = board.answers_of(pid)
    rest(on.chance.uniform(1.0, 4.0))
    silent = board.answers_of(pid) - silent
    proxy.cut(slot.number)
    proxy.clear(slot.number)
    trial.hit(answers=silent)
    trial.recovered()
    trial.hit(same_process=slot.pid == pid, **trial.said(*REPAIRS))
    return trial.done(sound=silent == 0)
