"""What to do when a transaction fails: one table, from FACTS (each row was seen on Kafka 4).

REJOIN   this generation is over: close, drop everything, wait for the rebalance
REOPEN   new producers, whose start refuses what the old ones may still have on its way; learn what
         became of the transaction by reading, then judge again what did not

There is no row that tries again at once. An abort that was confirmed is no proof: an EndTxn that
the library sent twice may have committed a part of it (KAFKA-17754), and whoever judges again
before reading would decide twice.
"""

from dataclasses import dataclass
from enum import Enum


class Action(Enum):
    REJOIN = "rejoin"
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class TransactionError:
    """As the driver saw it: librdkafka's name of the error."""

    name: str
    message: str = ""
    fatal: bool = False


_GENERATION_OVER = frozenset(
    {"ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID", "REBALANCE_IN_PROGRESS"}
)


def action_for(error: TransactionError) -> Action:
    """The row for an error."""
    return Action.REJOIN if error.name in _GENERATION_OVER else Action.REOPEN
