"""A command that kills its worker is judged alone after two deaths and given up after three."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from domain.contexts import Context
from streams.answers import Answer
from streams.mapped_suspects import MappedSuspects
from streams.records import header_map
from streams.suspects import MemorySuspects, Spot, WatchedJudge
from streams.verdicts import Rejected, Repeated
from tests.streams.driven_worker import Worker
from tests.streams.kafka_model import TOPICS, Kafka
from tests.streams.scripts import (
    CODEC,
    JUDGE,
    World,
    activate,
    completed,
    create,
    execute,
    execution_at,
    pipeline_at,
    record,
)

P, Q = pipeline_at(0), pipeline_at(1)
RUN = execution_at(0)
AT = Kafka().now


def worker_after(deaths: Mapping[Spot, int], kafka: Kafka | None = None) -> Worker:
    """A worker that has just taken over, and knows what others died of."""
    return Worker(kafka or Kafka(), suspects=MemorySuspects(deaths)).own()


def answered(worker: Worker) -> list[str]:
    """What the commands 1 to 4 were told, each once."""
    return [" ".join(worker.said(number)) for number in range(1, 5)]


def test_after_two_deaths_a_command_is_judged_alone_and_its_neighbours_after_and_before_it() -> (
    None
):
    worker = worker_after({("pipeline", 0, 1): 2})
    sent = [worker.send(m, n) for n, m in enumerate((create(P), activate(P), activate(P)), 1)]
    worker.send(create(Q), 4)
    offsets = []
    worker.fetch()
    while (transaction := worker.step()) is not None:
        offsets.append(dict(transaction.offsets))
        worker.commit(transaction)
    assert offsets == [
        {("pipeline", 0): 1},
        {("pipeline", 0): 2},
        {sent[0][:2]: 3, ("pipeline", 1): 1},
    ]
    worker.read()
    assert answered(worker) == ["accepted"] * 4


@pytest.mark.parametrize("deaths", [0, 1])
def test_after_fewer_deaths_it_is_judged_with_the_others(deaths: int) -> None:
    worker = worker_after({("pipeline", 0, 0): deaths})
    worker.send(create(P), 1)
    worker.send(create(Q), 2)
    assert len(worker.judged().offsets) == 2


def test_what_is_judged_alone_has_no_step_of_a_run_beside_it() -> None:
    worker = worker_after({("pipeline", 1, 0): 2})
    worker.send(create(P), 1)
    worker.send(activate(P), 2)
    worker.work()
    worker.send(execute(RUN, P), 3)
    worker.work()
    worker.send(create(Q), 4)
    worker.lane.take_internal([completed(RUN)])
    transaction = worker.judged()
    assert transaction.offsets == {("pipeline", 1): 1}
    worker.commit(transaction)
    worker.work()
    assert answered(worker) == ["accepted"] * 4
    assert worker.events("execution")[-1] == f"{RUN}#{4:012d}".encode()


def test_after_three_deaths_it_is_a_dead_letter_byte_for_byte_and_the_partition_goes_on() -> None:
    worker = worker_after({("pipeline", 0, 1): 3})
    worker.send(create(P), 1)
    sent = worker.send(activate(P), 2, value=b"\0\0\0\0\1 what kills")
    worker.send(activate(P), 3)
    worker.send(create(Q), 4)
    worker.work()
    assert answered(worker) == ["accepted", "internal.undecidable", "accepted", "accepted"]
    (dead,) = worker.kafka.committed(TOPICS.dead)
    assert (dead.key, dead.value) == (sent.key, sent.value)
    told = header_map(dead.headers)
    assert told["dead_reason"] == (
        b"internal.undecidable: 3 times a worker died while it judged this command"
    )
    assert told["dead_offset"] == b"1"


def test_the_value_of_what_is_given_up_is_not_looked_at() -> None:
    class Deadly(type(CODEC)):  # type: ignore[misc]
        def decode(self, data: bytes) -> Any:
            raise AssertionError(data)

        name_of = decode

    judge = WatchedJudge(
        type(JUDGE)(Deadly(CODEC.ids), JUDGE.partitions, JUDGE.chance),
        MemorySuspects({("pipeline", 0, 0): 3}),
    )
    judge.look()
    for sent in (record(create(P)), record(create(P), value=b"\0\0\0\0\xff")):
        verdict = judge.judge(sent, World(), AT, False)
        assert isinstance(verdict, Rejected)
        assert verdict.answer is not None
        assert verdict.answer.error_code == "internal.undecidable"


def test_the_client_knows_the_refusal_for_its_own() -> None:
    judge = WatchedJudge(JUDGE, MemorySuspects({("pipeline", 0, 0): 3}))
    sent = record(create(P), expected="none")
    accepted: Any = judge.judge(sent, World(), AT, False)
    judge.look()
    refused: Any = judge.judge(sent, World(), AT, False)
    assert (refused.answer.identity, refused.answer.hash) == (
        accepted.answer.identity,
        accepted.answer.hash,
    )
    known = World(answers={accepted.answer.identity: accepted.answer})
    assert judge.judge(sent, known, AT, False) == Repeated(accepted.answer)


@pytest.mark.parametrize(
    "changes", [{"key": None}, {"key": b"\xff"}, {"headers": []}, {"key": Q.encode()}]
)
def test_what_cannot_be_answered_is_a_dead_letter_alone(changes: dict[str, Any]) -> None:
    judge = WatchedJudge(JUDGE, MemorySuspects({("pipeline", 0, 0): 3}))
    judge.look()
    verdict = judge.judge(record(create(P), **changes), World(), AT, False)
    assert isinstance(verdict, Rejected)
    assert verdict.answer is None
    assert verdict.dead.startswith("internal.undecidable: ")


def test_the_mark_stands_while_a_command_is_judged_and_not_longer() -> None:
    suspects = MemorySuspects()
    marks: list[Spot | None] = []

    class Watching(World):
        def answer(self, identity: Any) -> Answer | None:
            marks.append(suspects.marked)
            return super().answer(identity)

        def state(self, context: Context, aggregate_id: str) -> tuple[int, Any]:
            marks.append(suspects.marked)
            return super().state(context, aggregate_id)

    WatchedJudge(JUDGE, suspects).judge(record(create(P), offset=7), Watching(), AT, False)
    assert set(marks) == {("pipeline", 0, 7)}
    assert suspects.marked is None


# ── the file ─────────────────────────────────────────────────────────────────────────────

JUDGING = """
import signal, sys
from pathlib import Path
from streams.mapped_suspects import MappedSuspects
from streams.verdicts import CommandRecord

folder, slot, offset, done = sys.argv[1:]
suspects = MappedSuspects(Path(folder), int(slot), "log")
suspects.judging(CommandRecord("pipeline", 3, int(offset), 0, b"", b"", []))
if done == "judged":
    suspects.judged()
signal.raise_signal(signal.SIGSEGV)
"""
HERE = ("pipeline", 3, 2**40)


def died(folder: Path, slot: int = 0, offset: int = 2**40, done: str = "") -> None:
    """A worker dies, while it judges or behind that."""
    argv = [sys.executable, "-c", JUDGING, str(folder), str(slot), str(offset), done]
    run = subprocess.run(argv, check=False, env=os.environ | {"PYTHONPATH": str(Path.cwd())})
    assert run.returncode == -signal.SIGSEGV


def known(folder: Path, slot: int = 0, log_id: str = "log") -> Mapping[Spot, int]:
    return MappedSuspects(folder, slot, log_id).deaths()


def test_deaths_are_counted_by_the_next_process_of_the_slot(tmp_path: Path) -> None:
    for count in range(1, 4):
        died(tmp_path)
        assert known(tmp_path) == {HERE: count}
    assert known(tmp_path) == {HERE: 3}, "a start without a death counts nothing"


def test_a_death_behind_the_judging_counts_for_nobody(tmp_path: Path) -> None:
    died(tmp_path, done="judged")
    assert known(tmp_path) == {}


def test_deaths_of_the_other_slots_count_as_well(tmp_path: Path) -> None:
    died(tmp_path, slot=0)
    died(tmp_path, slot=1)
    assert known(tmp_path, slot=0) == {HERE: 2}, "slot 1 has not come back yet"
    known(tmp_path, slot=1)
    assert known(tmp_path, slot=0) == {HERE: 2}, "it has"


def test_deaths_over_another_log_are_forgotten(tmp_path: Path) -> None:
    died(tmp_path)
    assert known(tmp_path, log_id="another") == {}
    assert known(tmp_path) == {}


def test_kills_at_random_push_no_real_suspect_out(tmp_path: Path) -> None:
    real = record(create(P))._replace(partition=HERE[1], offset=HERE[2])
    for _ in range(2):
        MappedSuspects(tmp_path, 0, "log").judging(real)
    for offset in range(1_000):
        suspects = MappedSuspects(tmp_path, 0, "log")
        suspects.judging(record(create(P), offset=offset))
    found = known(tmp_path)
    assert found[HERE] == 2
    assert found["pipeline", 0, 999] == 1
    assert len(found) < 200
