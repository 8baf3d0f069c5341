"""What is compiled writes and reads as fastavro does, and refuses more."""

import io
import json
import struct
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.definition import Definition
from domain.errors import Unreadable
from domain.execution.state import Failed, Pending, Running, Scheduled
from domain.pipeline.pipeline import ActivatePipeline, CreatePipeline, PipelineActivated
from schemas import catalogue, compiled, wire
from schemas.codec import HEAD_BYTES
from schemas.outcome import Outcome
from tests.domain.samples import TWICE, definition, step
from tests.schemas.messages import IDS, any_message, codec, plain

CODEC = codec()
SCHEMAS = {
    name: fastavro.parse_schema(json.loads(catalogue.committed(name)))
    for name in catalogue.records()
}
NUMBERS = st.integers(-(2**63), 2**63 - 1)


# ── the oracle ───────────────────────────────────────────────────────────────────────────


def read_by_fastavro(data: bytes) -> Any:
    """Plain data; raises where fastavro does or bytes are left over."""
    body = io.BytesIO(data[HEAD_BYTES:])
    found = fastavro.schemaless_reader(body, SCHEMAS[CODEC.name_of(data)])
    assert body.tell() == len(data) - HEAD_BYTES
    return found


def written_by_fastavro(name: str, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMAS[name], value)
    return struct.pack(">BI", 0, IDS[name]) + out.getvalue()


def agrees_with_fastavro(data: bytes) -> None:
    """What is read is what fastavro reads; what fastavro would write like this is read."""
    try:
        expected = read_by_fastavro(data)
    except Exception:
        with pytest.raises(Unreadable):
            CODEC.decode(data)
        return
    try:
        found = CODEC.decode(data)
    except Unreadable as unreadable:
        # fastavro reads and writes an int of any size.
        if "32 bits" in unreadable.message:
            return
        name = CODEC.name_of(data)
        assert written_by_fastavro(name, expected) != data
        return
    assert repr(plain(found)) == repr(expected)


@given(any_message(), st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_bytes_are_judged_as_fastavro_does(message: Any, data: st.DataObject) -> None:
    damaged = bytearray(CODEC.encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(HEAD_BYTES, len(damaged) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                damaged[at] = data.draw(st.integers(0, 255))
            case "cut" if len(damaged) > HEAD_BYTES + 1:
                del damaged[at]
            case _:
                damaged.insert(at, data.draw(st.integers(0, 255)))
    agrees_with_fastavro(bytes(damaged))


@given(st.sampled_from(list(IDS.values())), st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_garbage_is_judged_as_fastavro_does(schema_id: int, body: bytes) -> None:
    agrees_with_fastavro(struct.pack(">BI", 0, schema_id) + body)


@given(st.lists(NUMBERS, max_size=4), st.lists(NUMBERS, max_size=4))
@settings(max_examples=100, deadline=None)
def test_an_array_may_come_in_blocks_with_and_without_their_length(
    first: list[int], second: list[int]
) -> None:
    sized = b"".join(map(wire.ZIGZAG.__getitem__, first))
    blocks = wire.ZIGZAG[-len(first)] + wire.ZIGZAG[len(sized)] + sized if first else b""
    blocks += wire.items(second, wire.ZIGZAG.__getitem__)
    assert wire.read_items(b"_" + blocks, 1, wire.long) == ((*first, *second), 1 + len(blocks))


@given(NUMBERS)
def test_every_number_comes_back(number: int) -> None:
    written = wire.ZIGZAG[number]
    assert wire.long(written, 0) == (number, len(written))
    assert written == _by_fastavro("long", number)


def _by_fastavro(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


# ── what bytes may not do ────────────────────────────────────────────────────────────────

HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
OUTCOME = struct.pack(">BI", 0, IDS["flexcore.outcome.Outcome"])
CREATE = struct.pack(">BI", 0, IDS["flexcore.pipeline.CreatePipeline"])
STEP = b"\2a\2b\0"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"\1", "a length of -1"),
        (HUGE + b"p1", "bytes too early|out of range|cannot fit"),
        (b"\2p" + HUGE, "items in 0 bytes"),
        (b"\2p\6\2", "3 items in 1 bytes"),
        (b"\2p" + b"\xff" * 9 + b"\1\0", "items in"),
        (b"\2p" + b"\xff" * 11 + b"\1", "more than ten bytes"),
        (b"\2p" + b"\xff" * 9 + b"\2", "more than 64 bits"),
        (b"\2p\0\0\0\2", "1 bytes too early"),
        (b"\2p\0\0\0\2\xff", "UnicodeDecodeError"),
    ],
)
def test_lengths_and_counts_are_not_believed(body: bytes, what: str) -> None:
    with pytest.raises(Unreadable, match=what):
        CODEC.decode(OUTCOME + body)


@pytest.mark.parametrize("symbol", [b"\4", b"\1", b"\x80\1", b""])
def test_a_symbol_that_is_none_is_unreadable(symbol: bytes) -> None:
    with pytest.raises(Unreadable):
        CODEC.decode(CREATE + b"\2p\0\0\2" + STEP + symbol)


@pytest.mark.parametrize("branch", [b"\4", b"\1", b"\3"])
def test_a_branch_that_is_none_is_unreadable(branch: bytes) -> None:
    with pytest.raises(Unreadable, match="branch byte"):
        CODEC.decode(CREATE + b"\2p\0\0\2" + STEP + b"\0" + branch + b"\0\0\0\0")


# ── values that do not fit ───────────────────────────────────────────────────────────────

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def timed(timeout_s: Any) -> CreatePipeline:
    return CreatePipeline("p", "n", "", definition(step("read"), step("next", timeout_s=timeout_s)))


def tried(**changes: Any) -> CreatePipeline:
    return CreatePipeline("p", "n", "", definition(step("a", retry=replace(TWICE, **changes))))


def named(**changes: Any) -> CreatePipeline:
    return CreatePipeline("p", "n", "", definition(replace(step("a"), **changes)))


BY_FASTAVRO: Any = [
    (ActivatePipeline("p1", 3), "reason: 3 is a int; it must be a text"),  # type: ignore[arg-type]
    (ActivatePipeline("p1", None), "reason: None is a NoneType"),  # type: ignore[arg-type]
    (ActivatePipeline("p1", b"x"), "reason: b'x' is a bytes"),  # type: ignore[arg-type]
    (ActivatePipeline("p1", "\ud800"), "reason: half of a surrogate pair"),
    (Outcome("p1", (2**63,), "", "", ""), r"versions\[0\]: 9223372036854775808 is over 64 bits"),
    (Outcome("p1", (1, "x"), "", "", ""), r"versions\[1\]: 'x' is a str"),  # type: ignore[arg-type]
    (Outcome("p1", (1.0,), "", "", ""), r"versions\[0\]: 1.0 is a float"),  # type: ignore[arg-type]
    (Outcome("p1", (True,), "", "", ""), r"versions\[0\]: True is a bool"),
    (PipelineActivated("p1", "me", "now", ""), "at: 'now' is a str"),  # type: ignore[arg-type]
    (PipelineActivated("p1", "me", datetime(2026, 1, 1), ""), "at: .* does not say in which zone"),
    (tried(attempts=2**31), r"definition.steps\[0\].retry.attempts: 2147483648 is over 32 bits"),
    (tried(attempts=-(2**31) - 1), "attempts: -2147483649 is over 32 bits"),
    (tried(attempts=3.0), "attempts: 3.0 is a float"),
    (tried(attempts=1.7), "attempts: 1.7 is a float"),
    (tried(attempts=True), "attempts: True is a bool"),
    (tried(attempts=None), "attempts: None is a NoneType"),
    (tried(jitter=1), "jitter: 1 is a int; it must be bool"),
    (tried(jitter=None), "jitter: None is a NoneType"),
    (tried(max_s=True), "max_s: True is a bool"),
    (tried(max_s="1"), "max_s: '1' is a str"),
    (timed(10**400), r"definition.steps\[1\].timeout_s: int too large"),
    (named(needs="ab"), r"steps\[0\].needs: 'ab' is a str; it must be a list"),
    (named(on_error="fail"), "on_error: 'fail' is a str; it must be OnError"),
    (named(retry=3), "retry: 3 is a int; it must be Retry"),
]
"""Most of these fastavro writes without a word: 1.7 as 1, 2^31 as it is, a text as its letters."""


@pytest.mark.parametrize(("message", "what"), BY_FASTAVRO)
def test_an_error_of_encoding_says_what_does_not_fit(message: Any, what: str) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError), match=what):
        CODEC.encode(message)


def test_a_state_of_none_of_its_types_does_not_fit() -> None:
    run = Running("e", "p", 1, NOON, None, {"a": NOON}, "{}", definition())  # type: ignore[dict-item]
    with pytest.raises(TypeError, match=r"steps.a: .* is a datetime; it must be Pending or"):
        CODEC.encode(run)


def test_a_number_over_32_bits_is_unreadable_where_an_int_stands() -> None:
    huge = CODEC.encode(tried(attempts=77)).replace(wire.ZIGZAG[77], wire.ZIGZAG[2**31])
    with pytest.raises(Unreadable, match="more than 32 bits"):
        CODEC.decode(huge)


def test_a_whole_number_is_a_double_too() -> None:
    whole: Any = definition(step("read", timeout_s=60))
    assert CODEC.decode(CODEC.encode(CreatePipeline("p", "n", "", whole))).definition == whole


def test_a_value_of_one_of_several_types_keeps_its_type_there() -> None:
    whole: Any = definition(step("read", timeout_s=60))
    steps = {"a": Pending(), "b": Failed("x"), "c": Scheduled(1, 2, NOON)}
    run = Running("e", "p", 1, NOON, None, steps, "{}", whole)
    assert CODEC.decode(CODEC.encode(run)).steps == steps


@pytest.mark.parametrize("branch", [b"\x08", b"\1", b"\x80\0"])
def test_a_type_that_is_none_of_them_is_unreadable(branch: bytes) -> None:
    body = b"\2e\2p" + b"\2\2a" + branch + b"\0" + b"\0"
    with pytest.raises(Unreadable, match="branch byte"):
        CODEC.decode(struct.pack(">BI", 0, IDS["flexcore.execution.Running"]) + body)


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    """Python calls the two equal."""
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    second = first.replace(fold=1)
    assert first == second
    read = [
        CODEC.decode(CODEC.encode(PipelineActivated("p", "", at, ""))).at for at in (first, second)
    ]
    assert [at.isoformat() for at in read] == [
        "2026-10-25T00:30:00+00:00",
        "2026-10-25T01:30:00+00:00",
    ]


# ── definitions that are read again and again ────────────────────────────────────────────


def read_definition(name: str, of: Definition) -> Definition:
    found: Definition = CODEC.decode(CODEC.encode(CreatePipeline("p", name, "", of))).definition
    return found


def test_records_share_a_definition_that_was_read_before() -> None:
    of = definition(step("read", retry=TWICE), step("store", "read"))
    assert read_definition("one", of) is read_definition("another", of)
    assert read_definition("one", of) == of


def test_a_large_definition_is_not_kept() -> None:
    large = definition(step("read", with_json=f'{{"a": "{"x" * wire.KEPT_BYTES}"}}'))
    assert read_definition("one", large) is not read_definition("one", large)
    assert read_definition("one", large) == large


def test_bytes_of_an_object_are_made_once_and_of_an_equal_one_again() -> None:
    made: list[float] = []

    def write(value: float) -> bytes:
        made.append(value)
        return wire.pack(value)

    keeping, zero, below = wire.kept_bytes(write), 0.0, -0.0
    for _ in range(3):
        assert keeping(zero) == wire.pack(0.0)
        assert keeping(below) == wire.pack(-0.0)
    assert made == [0.0, -0.0]


def test_only_so_many_are_kept_and_none_that_is_large() -> None:
    made: list[bytes] = []

    def write(value: bytes) -> bytes:
        made.append(value)
        return value

    keeping, values = wire.kept_bytes(write), [b"%d" % number for number in range(wire.KEPT + 1)]
    for value in [*values, values[-1], values[0]]:
        assert keeping(value) is value
    large = b"x" * (wire.KEPT_BYTES + 1)
    assert keeping(large) is keeping(large)
    assert made == [*values, values[0], large, large]


# ── the text ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Example:
    name: str
    revision: int
    timeout_s: float | None
    definition: Definition


@pytest.mark.parametrize("kind", ["encode", "decode"])
def test_the_picture_shows_what_is_generated(kind: str) -> None:
    picture = "\n".join(line.removeprefix("    ") for line in (compiled.__doc__ or "").splitlines())
    assert compiled.source(kind, Example) in picture


@dataclass(frozen=True)
class Strange:
    value: complex


@dataclass(frozen=True)
class Nested:
    values: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Empty:
    """Of no bytes: six bytes could stand for a billion of them."""


@dataclass(frozen=True)
class Empties:
    values: tuple[Empty, ...]


@pytest.mark.parametrize("cls", [Strange, Nested, Empties])
def test_a_type_without_a_form_is_found_when_it_is_compiled(cls: type) -> None:
    with pytest.raises(TypeError):
        compiled.encoder(cls)
