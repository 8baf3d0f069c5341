"""A broker that starts or elects a leader is asked again; one that refuses is not."""

import time

import pytest
from confluent_kafka import KafkaError, KafkaException

from domain.errors import Unavailable
from streams.broker_wait import until_answered


def answers_after(*codes: int) -> list[KafkaException]:
    return [KafkaException(KafkaError(code)) for code in codes]


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._TRANSPORT,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    ],
)
def test_a_broker_in_motion_is_asked_again(code: int) -> None:
    errors = answers_after(code, code)

    def look() -> str:
        if errors:
            raise errors.pop()
        return "here"

    assert until_answered(look, time.monotonic() + 60) == "here"


def test_a_refusal_is_told_at_once() -> None:
    def look() -> str:
        raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    with pytest.raises(Unavailable, match="Kafka refuses"):
        until_answered(look, time.monotonic() + 60)
