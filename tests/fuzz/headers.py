"""Keys and headers of records: each command gets a verdict with a documented code, each event a place.

kind │ key behind its length │ time, 4 bytes │ (number of a name │ value behind its length) …
"""

from collections.abc import Iterable
from contextlib import suppress

from domain.errors import CODES, Unreadable
from schemas.outcome import Outcome
from streams.answers import answer_of, read_outcome
from streams.records import event_record, header_map, text
from streams.snapshots import snapshot_read
from streams.topics import partition_of
from streams.verdicts import CommandRecord, Rejected
from tests.fuzz.bounded import bounded
from tests.fuzz.choices import Choices
from tests.streams.kafka_model import PARTITIONS, START
from tests.streams.scripts import CODEC, JUDGE, World, create, pipeline_at

P = pipeline_at(0)
VALUE = CODEC.encode(create(P))
OUTCOME = CODEC.encode(Outcome(P, (1,), "pipeline/0@1", "", ""))
NAMES = (
    "ce_id",
    "ce_expectedversion",
    "ce_correlationid",
    "traceparent",
    "ce_commandid",
    "ce_commandhash",
    "ce_aggregateversion",
    "ce_txnindex",
    "ce_txncount",
    "ce_type",
    "ce_eventid",
    "ce_context",
    "ce_status",
)


def check(data: bytes) -> None:
    with bounded():
        choices = Choices(data)
        kind, key = choices.number(4), choices.short()
        time_ms = int.from_bytes(choices.taken(4), "big") * 1_000
        headers = []
        while name := choices.taken(1):
            headers.append((NAMES[name[0] % len(NAMES)], choices.short()))
        if kind == 0:
            _command(key, time_ms, headers)
        elif kind == 1:
            _event(key, time_ms, headers)
        elif kind == 2:
            with suppress(ValueError):
                snapshot_read("pipeline", 0, 0, key, VALUE, headers)
        else:
            with suppress(Unreadable):
                read_outcome(header_map(headers), OUTCOME, CODEC)


def _command(key: bytes, time_ms: int, headers: list[tuple[str, bytes]]) -> None:
    try:
        partition = partition_of(key.decode(), PARTITIONS)
    except UnicodeDecodeError:
        partition = 0
    at_ms = time_ms or int(START.timestamp() * 1_000)
    record = CommandRecord("pipeline", partition, 0, at_ms, key, VALUE, headers)
    for verdict in (
        JUDGE.judge(record, World(), START, True),
        JUDGE.give_up(record, World(), "it died"),
    ):
        if isinstance(verdict, Rejected) and verdict.answer is not None:
            assert verdict.answer.error_code in CODES
            assert len(verdict.answer.error_message) <= 2_000
            assert verdict.answer.identity.aggregate_id == key.decode()
    judged = JUDGE.judge(record, World(), START, True)
    assert "internal." not in str(judged), judged


def _event(key: bytes, time_ms: int, headers: list[tuple[str, bytes]]) -> None:
    try:
        event = event_record("pipeline", 0, 1, time_ms, key, VALUE, headers)
    except ValueError:
        return
    assert 0 <= event.version < 10**12
    answer = answer_of(event)
    assert answer is None or answer.versions[-1] == event.version
    for name in NAMES:
        text(event.headers, name).encode()


def seeds() -> Iterable[bytes]:
    def short(value: bytes) -> bytes:
        return bytes([len(value)]) + value

    uuid = b"00000000-0000-0000-0000-000000000001"
    yield b"\0" + short(P.encode()) + bytes(4) + b"\0" + short(uuid) + b"\1" + short(b"none")
    yield b"\0" + short(b"t~p") + b"\1\2\3\4" + b"\0" + short(uuid) + b"\1" + short(b"\xff7")
    event = short(b"p#000000000002") + bytes(4) + b"\4" + short(uuid)
    yield b"\1" + event + b"\7" + short(b"0") + b"\10" + short(b"2")
    yield b"\2" + short(b"p") + bytes(4) + b"\6" + short(b"100") + b"\12" + short(uuid)
