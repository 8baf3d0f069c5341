"""Asks the broker until it answers: one that starts, restarts or elects a leader is asked again."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from domain.errors import Unavailable

T = TypeVar("T")

WITHIN_S = 30.0
"""A broker serves 3 s after a kill -9; three of them on a loaded machine took 28 s."""
REQUEST_S = 5.0
_POLL_S = 0.02

_MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._NOENT)
_AWAY = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._RESOLVE,
        # Seen just after a topic was made: not every part of a broker knows it at the same time.
        *_MISSING,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        # Seen just after an election: leader and client have not heard of it from the same side.
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
    }
)


def seconds_left(deadline: float) -> float:
    """How long one request may take so that the deadline is kept: 0.1 to 5 s."""
    return max(0.1, min(REQUEST_S, deadline - time.monotonic()))


def is_away(error: KafkaError) -> bool:
    """Whether the same question may get an answer a moment later."""
    return error.retriable() or error.code() in _AWAY


def until_answered(look: Callable[[], T | None], deadline: float) -> T:
    """The first answer of `look` that is not `None`, before `deadline` (time.monotonic).

    Raises Unavailable where the broker stays away or refuses for good.
    """
    reason = "a topic or partition is not ready"
    code = "broker.unavailable"
    while True:
        try:
            answer = look()
        except KafkaException as error:
            what: KafkaError = error.args[0]
            if not is_away(what):
                raise Unavailable("broker.unavailable", f"Kafka refuses: {what.str()}") from error
            missing = what.code() in _MISSING
            code = "topics.wrong" if missing else "broker.unavailable"
            answer, reason = None, what.str()
        if answer is not None:
            return answer
        if time.monotonic() > deadline:
            fix = "run `flexcore topics apply`" if code == "topics.wrong" else "is it running?"
            raise Unavailable(code, f"Kafka does not serve ({reason}); {fix}")
        time.sleep(_POLL_S)
