"""One command judged: the order of the rules, and what each of them says."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.contexts import Context
from domain.errors import Unavailable
from domain.pipeline.pipeline import Pipeline, PipelineCreated, Status
from schemas.codec import Codec
from streams.answers import ACCEPTED, REFUSED, UNAVAILABLE, Answer
from streams.records import Identity, command_hash, parse_expected_version
from streams.stream_index import WINDOW_MS, Damaged
from streams.topics import MIB
from streams.verdicts import CommandRecord, Decided, NeedsPipeline, Rejected, Repeated, Stray
from tests.streams.kafka_model import START
from tests.streams.scripts import (
    CODEC,
    DEFINITION,
    JUDGE,
    World,
    activate,
    command_id,
    completed,
    create,
    execute,
    execution_at,
    pipeline_at,
    record,
    revise,
)

P = pipeline_at(0)
PIPELINE = Pipeline(P, Status.DRAFT, 1, DEFINITION.content_hash(), "A name", "", DEFINITION)
GARBAGE = b"no avro"


DRAFT = World({P: (3, PIPELINE)})
ACTIVE = World({P: (2, replace(PIPELINE, status=Status.ACTIVE))})


def judged(command: CommandRecord, world: World | None = None, *, final: bool = True) -> Any:
    return JUDGE.judge(command, world or World(), START, final)


def code(command: CommandRecord, world: World | None = None) -> str:
    """The error code of a refusal, or of what its dead letter says."""
    verdict = judged(command, world)
    assert isinstance(verdict, Rejected)
    return verdict.answer.error_code if verdict.answer else verdict.dead.partition(":")[0]


# ── order: each rule stands before the next one, so a record that breaks both shows the first ──

ID = command_id(1)
OLD = int(START.timestamp() * 1000) - WINDOW_MS - 1
EXPECTS_9 = ("ce_expectedversion", b"9")
IDENTITY = Identity("pipeline", P, ID)
USED = World({P: (3, PIPELINE)}, {IDENTITY: Answer(IDENTITY, "other", ACCEPTED, (1,))})


def test_the_place_comes_before_the_known_id() -> None:
    misplaced = record(create(P), partition=1)
    assert judged(misplaced, USED) == Stray(0)


@pytest.mark.parametrize(
    ("first", "broken"),
    [
        ("command.id_reused", {"timestamp_ms": OLD}),
        ("command.id_reused", {"value": GARBAGE}),
        ("command.id_reused", {"headers": [("ce_id", ID.encode()), EXPECTS_9]}),
    ],
)
def test_a_known_id_comes_before_all_that_is_said_of_its_content(
    first: str, broken: dict[str, Any]
) -> None:
    assert code(record(create(P), **broken), USED) == first


def foreign(**changes: Any) -> CommandRecord:
    """A command for another tenant's pipeline."""
    found = next(f"t~p{n}" for n in range(99) if record(create(f"t~p{n}")).partition == 0)
    return record(create(found), **changes)


@pytest.mark.parametrize(
    ("first", "command", "world"),
    [
        ("command.expired", foreign(timestamp_ms=OLD), World()),
        ("command.denied", foreign(value=GARBAGE), World()),
        ("command.unreadable", record(create(P), value=GARBAGE, expected="9"), World()),
        (
            "command.wrong_key",
            record(create(P), value=CODEC.encode(create("x")), expected="9"),
            World(),
        ),
        ("aggregate.version_conflict", record(create(P), expected="9"), DRAFT),
        ("pipeline.already_exists", record(create(P)), DRAFT),
    ],
)
def test_of_two_broken_rules_the_earlier_one_answers(
    first: str, command: CommandRecord, world: World
) -> None:
    assert code(command, world) == first


# ── known ids ────────────────────────────────────────────────────────────────────────────


def content_of(command: CommandRecord, expected: str = "") -> str:
    value = command.value or b""
    return command_hash(CODEC.name_of(value), value, parse_expected_version(expected))


def test_the_same_content_gets_the_same_answer() -> None:
    command = record(create(P))
    known = Answer(IDENTITY, content_of(command), REFUSED, error_code="pipeline.not_active")
    assert judged(command, World(answers={IDENTITY: known})) == Repeated(known)


@pytest.mark.parametrize(
    "other",
    [
        record(create(P, "Another name")),
        record(activate(P)),
        record(create(P), expected="none"),
    ],
)
def test_an_id_with_other_content_is_reused(other: CommandRecord) -> None:
    known = Answer(IDENTITY, content_of(record(create(P))), ACCEPTED, (1,))
    verdict = judged(other, World(answers={IDENTITY: known}))
    assert verdict.answer.error_code == "command.id_reused"
    assert not verdict.answer.remembered


def test_content_is_what_is_asked_for_not_how_it_is_written() -> None:
    renumbered = Codec({name: number + 50 for name, number in CODEC.ids.items()})
    value, same = CODEC.encode(create(P)), renumbered.encode(create(P))
    assert value != same
    name, any_version = CODEC.name_of(value), parse_expected_version("")
    assert command_hash(name, value, any_version) == command_hash(name, same, any_version)
    assert parse_expected_version("any") == any_version
    assert parse_expected_version("007") == parse_expected_version("7")


# ── the record ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe", b"k" * 256])
def test_a_key_that_is_no_aggregate_id_makes_a_dead_letter_without_an_answer(
    key: bytes | None,
) -> None:
    verdict = judged(record(create(P), key=key))
    assert verdict.answer is None
    assert verdict.dead.startswith("command.unreadable: ")


@pytest.mark.parametrize(
    "headers", [[], [("ce_id", b"")], [("ce_id", b"\xff")], [("ce_id", b"i" * 256)]]
)
def test_without_an_id_nobody_can_be_answered(headers: list[tuple[str, bytes]]) -> None:
    verdict = judged(record(create(P), headers=headers))
    assert verdict.answer is None
    assert "ce_id" in verdict.dead


@pytest.mark.parametrize(
    "value", [None, b"", GARBAGE, b"\0\0\0\xff\xff", CODEC.encode(create(P))[:-1]]
)
def test_a_value_that_cannot_be_read_is_refused_and_kept(value: bytes | None) -> None:
    verdict = judged(record(create(P), value=value))
    assert verdict.answer.error_code == "command.unreadable"
    assert verdict.answer.remembered
    assert verdict.dead.startswith("command.unreadable: ")


def test_of_what_could_not_be_unpacked_the_place_is_kept() -> None:
    unread = record(create(P), key=None, value=None, headers=[], unread="it cannot be unpacked")
    assert JUDGE.judge(unread, World(), START, True) == Rejected(
        None, "command.unreadable: it cannot be unpacked"
    )


def test_an_event_is_no_command() -> None:
    event = PipelineCreated(P, 1, "", "A name", "me", START, "", DEFINITION)
    verdict = judged(record(create(P), value=CODEC.encode(event)))
    assert verdict.answer.error_code == "command.unknown_type"
    assert verdict.dead


@pytest.mark.parametrize(
    "text", [ID[:-1] + "A", "my-own-id", "{" + ID + "}", ID + "\n", "٣" + ID[1:]]
)
def test_an_id_is_a_uuid_in_small_letters(text: str) -> None:
    assert code(record(create(P), headers=[("ce_id", text.encode())])) == "command.invalid_id"


def test_a_stray_that_would_not_fit_with_one_more_header_is_a_dead_letter() -> None:
    verdict = judged(record(create(P), partition=1, value=b"v" * (MIB - 100)))
    assert verdict.dead.startswith("command.too_large: ")


# ── expected version ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expected", "without_events", "at_version_3"),
    [
        ("", True, True),
        ("any", True, True),
        ("none", True, False),
        ("exists", False, True),
        ("0", True, False),
        ("3", False, True),
        ("2", False, False),
        ("4", False, False),
    ],
)
def test_expected_versions(expected: str, without_events: bool, at_version_3: bool) -> None:
    fresh, later = record(create(P), expected=expected), record(activate(P), expected=expected)
    assert isinstance(judged(fresh), Decided) == without_events
    assert isinstance(judged(later, DRAFT), Decided) == at_version_3


@pytest.mark.parametrize("expected", ["-1", "1.0", "٣", "latest", "9" * 19])
def test_an_expected_version_that_is_none_is_refused(expected: str) -> None:
    assert code(record(create(P), expected=expected)) == "command.invalid_expected_version"


def test_an_expected_version_that_is_no_text_does_not_pass_for_none_given() -> None:
    headers = [("ce_id", ID.encode()), ("ce_expectedversion", b"\xff3")]
    assert code(record(create(P), headers=headers)) == "command.invalid_expected_version"


# ── decisions ────────────────────────────────────────────────────────────────────────────


def test_events_follow_the_last_version_and_name_their_command() -> None:
    command = record(revise(P, "B"), 7)
    (event,) = judged(command, DRAFT).events
    headers = dict(event.headers)
    assert (event.version, event.key) == (4, f"{P}#000000000004".encode())
    assert headers["ce_aggregateversion"] == b"4"
    assert headers["ce_commandid"] == command_id(7).encode()
    assert headers["ce_commandhash"] == content_of(command).encode()
    assert (headers["ce_txnindex"], headers["ce_txncount"]) == (b"0", b"1")


def test_an_events_headers_are_the_contracts_and_in_its_order() -> None:
    given = [("ce_id", ID.encode()), ("ce_correlationid", b"all"), ("traceparent", b"00-1-2-03")]
    command = record(revise(P, "B"), headers=given)
    (event,) = judged(command, DRAFT).events
    assert event.headers == [
        ("ce_id", str(uuid.uuid5(uuid.UUID(ID), f"pipeline/{P}#4")).encode()),
        ("ce_type", b"flexcore.pipeline.PipelineRevised"),
        ("ce_aggregateversion", b"4"),
        ("ce_txnindex", b"0"),
        ("ce_specversion", b"1.0"),
        ("ce_source", b"flexcore/worker"),
        ("ce_time", b"2026-11-01T12:00:00Z"),
        ("ce_subject", P.encode()),
        ("content-type", b"application/avro"),
        ("ce_tenantid", b"default"),
        ("ce_actorid", b"anonymous"),
        ("ce_correlationid", b"all"),
        ("ce_causationid", ID.encode()),
        ("ce_commandid", ID.encode()),
        ("ce_commandhash", content_of(command).encode()),
        ("ce_txncount", b"1"),
        ("traceparent", b"00-1-2-03"),
    ]


def test_what_already_is_so_is_accepted_without_events() -> None:
    verdict = judged(record(activate(P)), ACTIVE)
    assert isinstance(verdict, Decided)
    assert (verdict.answer.status, list(verdict.events)) == (ACCEPTED, [])


def test_an_execution_without_its_pipeline_asks_to_read_on_once() -> None:
    command = record(execute(execution_at(0), P))
    assert judged(command, final=False) == NeedsPipeline(P)
    assert judged(command, DRAFT, final=False) == NeedsPipeline(P)
    assert code(command) == "pipeline.not_found"
    assert code(command, DRAFT) == "pipeline.not_active"


def test_a_decider_that_breaks_refuses_its_own_command_only() -> None:
    verdict = judged(record(activate(P)), World({P: (1, "no state")}))
    assert verdict.answer.error_code == "internal.undecidable"
    assert verdict.dead.startswith("internal.undecidable")


class DamagedWorld(World):
    def state(self, context: Context, aggregate_id: str) -> tuple[int, Any]:
        raise Damaged(f"{context.name}/{aggregate_id}")


def test_a_damaged_index_is_not_blamed_on_the_command() -> None:
    with pytest.raises(Damaged):
        judged(record(activate(P)), DamagedWorld())


def test_a_refusal_fits_into_an_outcome_whatever_it_quotes() -> None:
    verdict = judged(record(create(P), value=CODEC.encode(create("x" * 900_000))))
    assert verdict.answer.error_code == "command.wrong_key"
    assert len(verdict.answer.error_message) == 2_000


@pytest.mark.parametrize("name", ["ce_correlationid", "traceparent"])
def test_an_overlong_header_is_not_copied_into_every_event(name: str) -> None:
    headers = [("ce_id", ID.encode()), (name, b"x" * 256)]
    (event,) = judged(record(create(P), headers=headers)).events
    assert b"x" * 256 not in dict(event.headers).values()


def test_a_schema_that_is_no_record_does_not_stop_the_lane() -> None:
    judge = replace(JUDGE, codec=Codec(CODEC.ids, lambda _: '"string"'))
    verdict = judge.judge(record(create(P), value=b"\0\0\0\x03\xe7rest"), World(), START, True)
    assert isinstance(verdict, Rejected)
    assert verdict.dead


def test_a_registry_that_is_away_refuses_nothing_for_good() -> None:
    def away(_: int) -> str | None:
        raise Unavailable("broker.unavailable", "Kafka is away")

    judge = replace(JUDGE, codec=Codec(CODEC.ids, away))
    verdict = judge.judge(record(create(P), value=b"\0\0\0\x03\xe7rest"), World(), START, True)
    assert isinstance(verdict, Rejected)
    assert verdict.answer is not None
    assert (verdict.answer.status, verdict.answer.remembered) == (UNAVAILABLE, False)


# ── the engine's commands ────────────────────────────────────────────────────────────────


def test_the_engine_is_judged_by_known_id_and_decider_alone() -> None:
    started = JUDGE.judge(record(execute(execution_at(0), P)), ACTIVE, START, True)
    assert isinstance(started, Decided)
    command = completed(execution_at(0))
    world = World({execution_at(0): (started.version, started.state)})
    verdict = JUDGE.judge_internal(command, world, START + timedelta(seconds=1))
    assert isinstance(verdict, Decided)
    assert verdict.internal
    assert {dict(e.headers)["ce_source"] for e in verdict.events} == {b"flexcore/engine"}
    known = World(world.states, {verdict.answer.identity: verdict.answer})
    assert JUDGE.judge_internal(command, known, START) == Repeated(verdict.answer)
