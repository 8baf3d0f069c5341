"""The faults, as rows: what is done, in which kinds, how often a campaign wants it, on what brokers.

Numbers are those of the fault table in docs/faults.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from streams.failpoints import Failpoint
from tests.faults import (
    harm_api,
    harm_brokers,
    harm_commands,
    harm_disks,
    harm_topics,
    harm_wire,
    harm_workers,
)
from tests.faults.harm import Field
from tests.faults.history import Fault

Harm = Callable[[Field, str], Fault]


@dataclass(frozen=True, slots=True)
class Row:
    """`wanted` trials per kind; `brokers` how many nodes it takes, 0 where that does not matter.

    `alone`: harms everybody, or would take what others do to workers for its own doing. A late EndTxn
    beside a rebalance may stop a partition, as docs/correctness.md says: loudly, and for good.
    """

    number: str
    kinds: Sequence[str]
    harm: Harm
    wanted: int
    brokers: int = 0
    alone: bool = False


DEATHS = [point.value for point in Failpoint if point not in harm_workers.ELSEWHERE]

ROWS: Sequence[Row] = (
    Row("F01", ("random", "in transaction"), harm_workers.kill, 25),
    Row("F01", DEATHS, harm_workers.failpoint, 14),
    Row("F02", ("longer than the session",), harm_workers.pause, 60),
    Row("F03", ("one id", "both ids"), harm_wire.theft, 30),
    Row("F04", tuple(harm_wire.STRAYS), harm_wire.stray, 80, alone=True),
    Row("F05", ("storm",), harm_workers.storm, 15, alone=True),
    Row("F06", ("kill", "SIGTERM"), harm_brokers.restart, 14, brokers=1, alone=True),
    Row(
        "F07",
        ("leader", "any", "rolling", "two at once"),
        harm_brokers.of_three,
        10,
        brokers=3,
        alone=True,
    ),
    Row("F09", tuple(harm_wire.PARTITIONED), harm_wire.partition, 30),
    Row("F10", tuple(harm_wire.SLOWED), harm_wire.slow, 25),
    Row("F10", ("half-open",), harm_wire.half_open, 25),
    Row("F11", ("the index's disk",), harm_disks.index_full, 4),
    Row("F11", ("the broker's disk",), harm_disks.broker_full, 4, brokers=1, alone=True),
    Row("F12", ("cut short", "torn pages", "flipped bytes"), harm_disks.torn, 10),
    Row("F17", ("one command fifty times",), harm_commands.repeat, 25),
    Row("F18", ("one id, other content",), harm_commands.reuse, 25),
    Row("F19", ("64 want one version",), harm_commands.herd, 25),
    Row("F20", ("poison, 1 in 10",), harm_commands.poison, 15, alone=True),
    Row("F21", ("oversized",), harm_commands.oversized, 15, alone=True),
    Row("F22", ("deep and wide",), harm_commands.nested, 15, alone=True),
    Row("F25", ("once", "twice", "at a start"), harm_workers.terminate, 20),
    Row("F30", ("compaction",), harm_topics.compact, 15, alone=True),
    Row("F31", ("more partitions", "other cleanup"), harm_topics.changed, 4),
    Row("F33", ("the answer is lost",), harm_api.lost_answer, 10),
    Row("F34", ("everything",), harm_workers.everything, 10, brokers=1, alone=True),
    Row("F36", ("the lane stalls",), harm_workers.stall, 15),
    Row("F36", ("less than the session",), harm_workers.short_pause, 30),
)

NOT_DONE: Mapping[str, str] = {
    "F08": "broker and controller are one process in these clusters",
    "F13–F15, F26–F29, F32": "read side, registry and doors that are tested in places of their own",
    "F23": "tests/plugins has its hostile steps",
    "F16": "libfaketime also shifts what librdkafka waits by: such a worker never hears its broker",
    "F24": "no rebuild of a projection exists yet",
    "F35": "the campaign is one",
}


@dataclass(frozen=True, slots=True)
class Planned:
    """One trial to do."""

    row: Row
    kind: str

    @property
    def name(self) -> str:
        return f"{self.row.number} {self.kind}"


def all_trials(only: Sequence[str] = ()) -> list[Planned]:
    """One of each kind; `only` names rows, or rows and kinds ("F04", "F01 after_commit")."""
    found = [Planned(row, kind) for row in ROWS for kind in row.kinds]
    return [one for one in found if not only or {one.row.number, one.name} & set(only)]
