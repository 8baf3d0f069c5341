"""What to do when a transaction fails: one table, from FACTS (each row was seen on Kafka 4).

RETRY    aborted cleanly: the same inputs again, 5 times at most
REJOIN   this generation is over: close, drop everything, wait for the rebalance
REOPEN   the outcome is unknown: new producers, learn it by reading, then go on
EXIT     nothing helps in this process: leave with 70 and be restarted
"""

from dataclasses import dataclass
from enum import Enum


class Action(Enum):
    RETRY = "retry"
    REJOIN = "rejoin"
    REOPEN = "reopen"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class TransactionError:
    """As the driver saw it: librdkafka's name of the error, and whether the abort went through."""

    name: str
    message: str = ""
    fatal: bool = False
    aborted: bool = False


MAX_RETRIES = 5

_REJOIN = frozenset(
    {"ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID", "REBALANCE_IN_PROGRESS"}
)
_UNKNOWN_OUTCOME = frozenset({"_TIMED_OUT", "_FENCED", "_TRANSPORT", "_ALL_BROKERS_DOWN"})


def action_for(error: TransactionError, retries: int) -> Action:
    """The row for an error that came after `retries` clean retries of the same inputs."""
    if error.name in _REJOIN:
        return Action.REJOIN
    if error.name in _UNKNOWN_OUTCOME or error.fatal or not error.aborted:
        return Action.REOPEN
    return Action.RETRY if retries < MAX_RETRIES else Action.EXIT
