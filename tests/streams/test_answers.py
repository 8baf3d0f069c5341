"""What an answer is made of, and how it comes back from the topic."""

import pytest

from domain.errors import Unreadable
from streams.answers import (
    ACCEPTED,
    REFUSED,
    UNAVAILABLE,
    Answer,
    answer_of,
    outcome_headers,
    outcome_value,
    read_outcome,
)
from streams.records import EventRecord, Identity, header_map
from tests.streams.kafka_model import START
from tests.streams.scripts import CODEC, create, pipeline_at

IDENTITY = Identity("pipeline", "p1", "an id")


def event(version: int, index: str, count: str) -> EventRecord:
    headers = {
        "ce_commandid": b"an id",
        "ce_commandhash": b"a hash",
        "ce_txnindex": index.encode(),
        "ce_txncount": count.encode(),
    }
    return EventRecord("pipeline", "p1", version, 3, 70 + version, 0, b"", headers)


def test_the_last_event_of_a_command_stands_for_its_answer() -> None:
    answer = Answer(IDENTITY, "a hash", ACCEPTED, (4, 5, 6), "pipeline/3@76")
    assert answer_of(event(6, "2", "3")) == answer


@pytest.mark.parametrize(
    ("index", "count"),
    [("0", "3"), ("1", "3"), ("", ""), ("x", "y"), ("-1", "0"), ("²", "3"), ("٢", "3"), ("6", "7")],
)
def test_no_other_event_does(index: str, count: str) -> None:
    assert answer_of(event(6, index, count)) is None


def test_absurd_numbers_of_a_foreign_writer_cost_nothing() -> None:
    assert answer_of(event(6, str(10**9), str(10**9 + 1))) is None
    assert answer_of(event(6, "9" * 5_000, "9" * 5_000)) is None


@pytest.mark.parametrize(
    ("answer", "remembered"),
    [
        (Answer(IDENTITY, "h", ACCEPTED, (1,), "pipeline/3@7"), True),
        (Answer(IDENTITY, "h", ACCEPTED), True),
        (Answer(IDENTITY, "h", REFUSED, error_code="pipeline.not_found", error_message="ä"), True),
        (Answer(IDENTITY, "h", REFUSED, error_code="command.id_reused"), False),
        (Answer(IDENTITY, "h", UNAVAILABLE, error_code="owner.unavailable"), False),
    ],
)
def test_an_answer_comes_back_as_it_was_given(answer: Answer, remembered: bool) -> None:
    headers = header_map(outcome_headers(answer, START))
    assert read_outcome(headers, outcome_value(answer, CODEC), CODEC) == answer
    assert answer.remembered is remembered


def test_an_outcomes_headers_are_the_contracts_and_in_its_order() -> None:
    answer = Answer(IDENTITY, "0123456789abcdef0", REFUSED, error_code="pipeline.not_found")
    assert outcome_headers(answer, START, "flexcore/api") == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"an id:0123456789abcdef"),
        ("ce_source", b"flexcore/api"),
        ("ce_type", b"flexcore.outcome.Outcome"),
        ("ce_time", b"2026-11-01T12:00:00Z"),
        ("ce_subject", b"p1"),
        ("content-type", b"application/avro"),
        ("ce_context", b"pipeline"),
        ("ce_commandid", b"an id"),
        ("ce_commandhash", b"0123456789abcdef0"),
        ("ce_status", b"refused"),
        ("ce_errorcode", b"pipeline.not_found"),
    ]


@pytest.mark.parametrize("value", [b"", b"garbage", CODEC.encode(create(pipeline_at(0)))])
def test_what_is_no_outcome_is_unreadable(value: bytes) -> None:
    with pytest.raises(Unreadable):
        read_outcome({}, value, CODEC)
