"""Faults that come as commands: repeated, contradicting, too many for one aggregate, unreadable, huge.

F17 one command fifty times   F18 one id, other content   F19 sixty-four clients want the same version
F20 bytes that are no command, one in ten   F21 the largest that topics take   F22 deep and endless JSON

All of them while a worker is killed or told to end, in two trials of three.
"""

import json
import os
import signal
import uuid
from collections.abc import Iterator

from domain.execution.messages import ExecutePipeline
from streams.topics import MIB
from tests.faults.fault_client import Headers
from tests.faults.harm import Field, Trial
from tests.faults.history import Fault, Operation
from tests.faults.workers import until

ANSWERED_WITHIN_S = 60.0
HERD = 64
TIMES = 50
POISON = 20
GOOD_PER_POISON = 9
Record = tuple[bytes | None, bytes | None, Headers]
"""(key, value, headers)."""


def _then_harm(on: Field, trial: Trial) -> None:
    """Kill a worker, tell one to end, or leave them alone."""
    sign = on.chance.choice((None, signal.SIGKILL, signal.SIGTERM))
    if sign is not None:
        slot = on.victim()
        os.kill(slot.pid, sign)
        trial.hit(beside=f"{sign.name} {slot.number}")


def _answered(on: Field, asked: list[Operation]) -> None:
    contents = {(one.identity, one.hash) for one in asked}
    until(
        lambda: not any((o.identity, o.hash) in contents for o in on.served.board.outstanding),
        ANSWERED_WITHIN_S,
        "the answers to all of them",
    )


def _told(on: Field, asked: list[Operation]) -> list[Operation]:
    ids = {one.command_id for one in asked}
    return [one for one in on.served.history.operations if one.answered and one.command_id in ids]


def herd(on: Field, kind: str) -> Fault:
    """Many clients want to change one aggregate from the same version: one of them may."""
    trial = Trial(on, "F19", kind)
    name = f"herd-{uuid.UUID(int=on.chance.getrandbits(128)).hex[:12]}"
    created = on.client.create(name)
    _answered(on, [created])
    asked = [on.client.revise(name, "1") for _ in range(HERD)]
    _then_harm(on, trial)
    _answered(on, asked)
    accepted = {one.command_id for one in _told(on, asked) if one.phase == "ok"}
    trial.hit(asked=len(asked), accepted_of_herd=len(accepted))
    return trial.done(sound=len(accepted) == 1)


def repeat(on: Field, kind: str) -> Fault:
    """One command fifty times."""
    trial = Trial(on, "F17", kind)
    asked = on.client.create(f"again-{uuid.UUID(int=on.chance.getrandbits(128)).hex[:12]}")
    for _ in range(TIMES - 1):
        on.client.again()
    _then_harm(on, trial)
    _answered(on, [asked])
    told = {(one.phase, one.code, one.versions) for one in _told(on, [asked])}
    trial.hit(times=TIMES, answers=sorted(map(str, told)))
    return trial.done(sound=len(told) == 1)


def reuse(on: Field, kind: str) -> Fault:
    """The id of a command again, with other content."""
    trial = Trial(on, "F18", kind)
    asked = on.client.create(f"reused-{uuid.UUID(int=on.chance.getrandbits(128)).hex[:12]}")
    others = [on.client.revise(asked.aggregate, "any", asked.command_id) for _ in range(TIMES)]
    _then_harm(on, trial)
    _answered(on, [asked, *others])
    hashes = {one.hash for one in others}
    codes = {one.code for one in _told(on, [asked]) if one.hash in hashes}
    trial.hit(times=TIMES, codes=sorted(codes))
    return trial.done(sound=codes == {"command.id_reused"})


# ── bytes that are no commands ───────────────────────────────────────────────────────────


def _garbage(on: Field) -> Iterator[Record]:
    """Endless."""
    while True:
        good = on.client.encoded()
        key = f"poison-{on.chance.randrange(40)}".encode()
        yield from (
            (key, on.chance.randbytes(40), _id(on)),
            (key, b"", _id(on)),
            (None, None, []),
            (key, b"\x01" + good[1:], _id(on)),
            (key, b"\x00\x7f\xff\xff\xff" + good[5:], _id(on)),
            (key, good[: on.chance.randrange(6, len(good))], _id(on)),
            (key, good + b"\x00more", _id(on)),
            (b"\xff\xfe", good, _id(on)),
            (key, b"just text", [("ce_id", b"\xff")]),
        )


def _id(on: Field) -> Headers:
    return [("ce_id", str(uuid.UUID(int=on.chance.getrandbits(128), version=4)).encode())]


def poison(on: Field, kind: str) -> Fault:
    """One record in ten is no command: it is put aside, byte for byte, and stops nobody."""
    trial = Trial(on, "F20", kind)
    garbage = _garbage(on)
    asked = []
    for _ in range(POISON):
        on.client.poison(*next(garbage))
        names = on.client.names
        asked += [on.client.revise(on.chance.choice(names), "any") for _ in range(GOOD_PER_POISON)]
    exits = len(on.served.workers.exits)
    _answered(on, asked)
    died = len(on.served.workers.exits) - exits
    trial.hit(poison=POISON, good=len(asked), workers_died=died)
    return trial.done(sound=died == 0)


def _oversized(on: Field) -> Iterator[Record]:
    """The largest that the command topic takes, in each of its parts."""
    good = on.client.encoded()
    rest = bytes(MIB - 2_048 - len(good))
    yield b"large", good + rest, _id(on)
    yield b"large", good, [*_id(on), ("x", rest)]
    yield b"large", good, [*_id(on), *[("x", b"y")] * 10_000]
    yield rest, good, _id(on)


def oversized(on: Field, kind: str) -> Fault:
    """Records as large as the topic takes: in value, headers and key."""
    trial = Trial(on, "F21", kind)
    exits = len(on.served.workers.exits)
    records = list(_oversized(on))
    for record in records:
        on.client.poison(*record)
    asked = [on.client.revise(name, "any") for name in on.client.names]
    _answered(on, asked)
    died = len(on.served.workers.exits) - exits
    trial.hit(records=len(records), good=len(asked), workers_died=died)
    return trial.done(sound=died == 0)


DEPTHS = (100, 1_000, 10_000, 100_000)


def nested(on: Field, kind: str) -> Fault:
    """Inputs of runs that are nested deeply: refused, or carried through, by a worker that lives."""
    trial = Trial(on, "F22", kind)
    exits = len(on.served.workers.exits)
    asked = []
    for depth in DEPTHS:
        for text in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
            run = str(uuid.UUID(int=on.chance.getrandbits(128), version=4))
            asked.append(on.client.execute(ExecutePipeline(run, "small", None, 0, text)))
    wide = json.dumps({str(n): n for n in range(50_000)})
    run = str(uuid.UUID(int=on.chance.getrandbits(128), version=4))
    asked.append(on.client.execute(ExecutePipeline(run, "small", None, 0, wide)))
    _answered(on, asked)
    died = len(on.served.workers.exits) - exits
    told = [one.code or "accepted" for one in _told(on, asked)]
    trial.hit(workers_died=died, told={code: told.count(code) for code in set(told)})
    return trial.done(sound=died == 0)
