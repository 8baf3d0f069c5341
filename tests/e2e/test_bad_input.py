"""Whatever comes in has a documented code or is kept, and the next good command is answered at once.

records on a commands topic   requests   pipeline files   data   steps   ─► one stack as it is shipped
"""

import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from domain.definition import Definition, OnError, Step
from domain.execution.messages import ExecutePipeline
from domain.pipeline.pipeline import ActivatePipeline, CreatePipeline, PipelineActivated
from schemas import catalogue
from streams.records import Headers, header_map
from streams.topics import MIB
from tests.e2e.foreign import Sent
from tests.e2e.shipped import Shipped, at_home, new_id, pipeline, shipped_stack
from tests.gateway.test_pipeline_file import billion_laughs, billion_merges

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

ACTIVATE = "flexcore.pipeline.ActivatePipeline"
DEEP = "[" * 10_000 + "]" * 10_000
BLOB = {"rows": {"$blob": "sha256:" + "0" * 64, "bytes": 1}}
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def shipped() -> Iterator[Shipped]:
    # Not pytest's folder, which PostgreSQL's account cannot reach.
    folder = Path(tempfile.mkdtemp(prefix="flexcore-e2e-"))
    folder.chmod(0o755)
    try:
        with shipped_stack(folder) as stack:
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def unharmed(shipped: Shipped) -> Iterator[None]:
    """After each test."""
    yield
    shipped.is_unharmed()


# ── records on a commands topic ──────────────────────────────────────────────────────────


def assert_kept(shipped: Shipped, sent: Sent, reason: str) -> None:
    """In flexcore.dead it is byte for byte, with its own headers first."""
    letter = shipped.foreign.dead_letter(sent)
    assert (letter.key(), letter.value()) == (sent.key, sent.value)
    assert letter.headers()[: len(sent.headers)] == list(sent.headers)
    assert header_map(letter.headers())["dead_reason"].startswith(f"{reason}: ".encode())


def activation(shipped: Shipped, pipeline_id: str = "somebody") -> bytes:
    return shipped.codec.encode(ActivatePipeline(pipeline_id, "now"))


def creation(shipped: Shipped, pipeline_id: str, with_json: str = "{}") -> bytes:
    step = Step("only", "flexcore.filter", (), OnError.FAIL, None, None, None, with_json)
    return shipped.codec.encode(CreatePipeline(pipeline_id, "A name", "", Definition((step,))))


UNREADABLE: dict[str, Callable[[Shipped], bytes | None]] = {
    "null": lambda _: None,
    "nothing": lambda _: b"",
    "garbage": lambda _: b"\xde\xad\xbe\xef" * 64,
    "wrong magic byte": lambda s: b"\x01" + activation(s)[1:],
    "unknown schema id": lambda s: b"\x00\x7f\xff\xff\xff" + activation(s)[5:],
    "cut off": lambda s: activation(s)[:-3],
    "longer than it says": lambda s: activation(s) + b"\0",
}


@pytest.mark.parametrize("made", UNREADABLE.values(), ids=UNREADABLE)
def test_a_value_that_cannot_be_read_is_refused_and_kept(
    shipped: Shipped, made: Callable[[Shipped], bytes | None]
) -> None:
    sent = shipped.command(made(shipped))
    assert shipped.foreign.error_code(sent) == "command.unreadable"
    assert_kept(shipped, sent, "command.unreadable")


def test_a_record_that_is_no_command_is_refused_and_kept(shipped: Shipped) -> None:
    event = shipped.codec.encode(PipelineActivated("p", "me", MOMENT, "an event"))
    sent = shipped.command(event)
    assert shipped.foreign.error_code(sent) == "command.unknown_type"
    assert_kept(shipped, sent, "command.unknown_type")


BOMBS: dict[str, tuple[Any, bytes]] = {
    "a record in itself, 100,000 times": (
        {
            "type": "record",
            "name": "Node",
            "fields": [{"name": "next", "type": ["null", "Node"]}],
        },
        b"\2" * 100_000 + b"\0",
    ),
    "a billion items of no bytes": (
        {"type": "array", "items": "null"},
        b"\xfe\xff\xff\xff\x0f\0",
    ),
    "a billion empty records": (
        {"type": "array", "items": {"type": "record", "name": "Nothing", "fields": []}},
        b"\xfe\xff\xff\xff\x0f\0",
    ),
}


@pytest.mark.parametrize(("kind", "body"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_under_a_schema_of_somebody_else_is_refused_and_kept(
    shipped: Shipped, kind: Any, body: bytes
) -> None:
    schema = json.loads(catalogue.committed(ACTIVATE))
    schema["fields"].append({"name": "more", "type": kind})
    (registered,) = shipped.registry.register({new_id("bomb"): json.dumps(schema)})
    head = b"\0" + registered.id.to_bytes(4, "big")
    sent = shipped.command(head + activation(shipped)[5:] + body)
    assert shipped.foreign.error_code(sent) == "command.unreadable"
    assert_kept(shipped, sent, "command.unreadable")


def test_a_record_over_the_limit_is_refused_by_the_broker(shipped: Shipped) -> None:
    with pytest.raises(KafkaException) as refused:
        shipped.command(b"\0" * 2 * MIB)
    assert refused.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE


@pytest.mark.parametrize("size", [2 * MIB, 7 * MIB])
def test_one_that_is_over_it_once_unpacked_is_refused_and_kept(shipped: Shipped, size: int) -> None:
    sent = shipped.command(activation(shipped) + b"\0" * size, packed="gzip")
    assert shipped.foreign.error_code(sent) == "command.unreadable"
    assert_kept(shipped, sent, "command.unreadable")


def test_of_one_that_no_topic_takes_the_place_is_kept(shipped: Shipped) -> None:
    sent = shipped.command(b"\0" * 32 * MIB, packed="gzip")
    assert shipped.foreign.error_code(sent) == "command.unreadable"
    letter = shipped.foreign.dead_letter(sent)
    assert letter.value() is None
    assert int(header_map(letter.headers())["dead_dropped_bytes"]) > 32 * MIB


def test_of_one_that_nobody_can_unpack_the_place_is_kept(shipped: Shipped) -> None:
    sent = shipped.command(b"\0" * 200 * MIB, packed="zstd")
    letter = shipped.foreign.dead_letter(sent)
    assert (letter.key(), letter.value()) == (None, None)
    assert b"cannot be unpacked" in header_map(letter.headers())["dead_reason"]


NAMELESS: dict[str, tuple[bytes | None, Headers]] = {
    "no id": (b"somebody", []),
    "an id that is no UTF-8": (b"somebody", [("ce_id", b"\xff\xfe")]),
    "an overlong id": (b"somebody", [("ce_id", b"7" * 10_000)]),
    "a key that is no UTF-8": (b"\xff\xfe", [("ce_id", b"0" * 36)]),
    "an overlong key": (b"k" * 10_000, [("ce_id", b"0" * 36)]),
    "no key": (None, [("ce_id", b"0" * 36)]),
}


@pytest.mark.parametrize(("key", "headers"), NAMELESS.values(), ids=NAMELESS)
def test_one_that_cannot_be_answered_is_kept(
    shipped: Shipped, key: bytes | None, headers: Headers
) -> None:
    home = at_home("somebody")
    sent = shipped.foreign.send("pipeline", home, key, activation(shipped), headers)
    assert_kept(shipped, sent, "command.unreadable")


def test_ids_and_versions_that_are_none_are_refused(shipped: Shipped) -> None:
    def code(key: str, **headers: bytes) -> str:
        named = [("ce_id", str(uuid.uuid4()).encode()), *headers.items()]
        value = activation(shipped, key)
        return shipped.foreign.error_code(
            shipped.command(value, key, headers=list(dict(named).items()))
        )

    somebody = new_id("bad")
    assert code(somebody, ce_id=b"no-uuid-" + somebody.encode()) == "command.invalid_id"
    assert code(somebody, ce_expectedversion=b"\xff") == "command.invalid_expected_version"
    assert code(somebody, ce_expectedversion=b"-1") == "command.invalid_expected_version"
    assert code("other~pipeline") == "command.denied"
    elsewhere = shipped.command(activation(shipped, "another"), somebody)
    assert shipped.foreign.error_code(elsewhere) == "command.wrong_key"
    odd = shipped.command(creation(shipped, "Not A Slug"), "Not A Slug")
    assert shipped.foreign.error_code(odd) == "pipeline.invalid_id"


@pytest.mark.parametrize("text", [DEEP, json.dumps(BLOB), '{"a": NaN}', "{", '"\\ud800"'])
def test_json_in_a_command_is_held_to_the_same_rules(shipped: Shipped, text: str) -> None:
    name, run = new_id("bad"), str(uuid.uuid4())
    execute = shipped.codec.encode(ExecutePipeline(run, name, None, 0, text))
    created = shipped.command(creation(shipped, name, text), name)
    executed = shipped.foreign.send("execution", at_home(run), run.encode(), execute)
    assert shipped.foreign.error_code(created) == "pipeline.invalid_definition"
    assert shipped.foreign.error_code(executed) == "execution.invalid_input"


# ── requests ─────────────────────────────────────────────────────────────────────────────

REQUESTS: dict[str, tuple[str, Any, int, str]] = {
    "10,000 deep": ("/v1/pipelines", DEEP, 422, "request.invalid"),
    "10,000 deep in a field": (
        "/v1/pipelines",
        json.dumps(pipeline("deep"))[:-1] + f', "more": {DEEP}}}',
        422,
        "request.invalid",
    ),
    "no JSON": ("/v1/pipelines", b"\xde\xad\xbe\xef", 422, "request.invalid"),
    "over the limit": ("/v1/pipelines", b" " * 2 * MIB, 413, "request.too_large"),
    "an id that is none": ("/v1/pipelines", pipeline("Not A Slug"), 422, "pipeline.invalid_id"),
    "unknown command": (
        "/v1/commands",
        {"type": "DropEverything", "aggregate_id": "somebody"},
        422,
        "command.unknown_type",
    ),
    "id of a command that is none": (
        "/v1/commands",
        {"type": "ActivatePipeline", "aggregate_id": "somebody", "command_id": "x" * 10_000},
        422,
        "command.invalid_id",
    ),
    "a blob in a step": (
        "/v1/pipelines",
        pipeline("blob", **{"with": BLOB}),
        422,
        "pipeline.invalid_definition",
    ),
    "a blob in an input": (
        "/v1/pipelines/somebody/executions",
        {"input": {"a": [BLOB]}},
        422,
        "execution.invalid_input",
    ),
    "unknown need": (
        "/v1/pipelines",
        pipeline("need", needs=["nobody"]),
        422,
        "pipeline.invalid_definition",
    ),
    "cycle": (
        "/v1/pipelines",
        pipeline("cycle", needs=["only"]),
        422,
        "pipeline.invalid_definition",
    ),
    "bad expression": (
        "/v1/pipelines",
        pipeline("expression", when="1 +"),
        422,
        "pipeline.invalid_definition",
    ),
    "a deep expression": (
        "/v1/pipelines",
        pipeline("expression", when="(" * 10_000 + "1" + ")" * 10_000),
        422,
        "pipeline.invalid_definition",
    ),
}


@pytest.mark.parametrize(("path", "body", "status", "code"), REQUESTS.values(), ids=list(REQUESTS))
def test_a_request_that_makes_no_sense_is_a_problem(
    shipped: Shipped, path: str, body: Any, status: int, code: str
) -> None:
    content = json.dumps(body) if isinstance(body, dict) else body
    assert shipped.problem(path, content=content, headers=JSON) == (status, code)


def test_headers_of_a_request_that_are_no_utf_8_are_a_problem_or_no_matter(
    shipped: Shipped,
) -> None:
    name = new_id("header")
    for header, code in (
        ("If-Match", "command.invalid_expected_version"),
        ("If-None-Match", "command.invalid_expected_version"),
    ):
        answered = shipped.problem(
            "/v1/pipelines", json=pipeline(name), headers=[(header.encode(), b"\xff\xfe")]
        )
        assert answered == (422, code)
    passed = [(n, b"\xff\xfe") for n in (b"traceparent", b"Prefer", b"Accept", b"X-Any")]
    assert shipped.ask("POST", "/v1/pipelines", json=pipeline(name), headers=passed).is_success


# ── pipeline files ───────────────────────────────────────────────────────────────────────

FILES: dict[str, tuple[str | bytes, str]] = {
    "cycle": (json.dumps(pipeline("cycle", needs=["only"])), "only"),
    "unknown need": (json.dumps(pipeline("need", needs=["nobody"])), "nobody"),
    "bad expression": (json.dumps(pipeline("expression", when="1 +")), "when"),
    "a blob": (json.dumps(pipeline("blob", **{"with": BLOB})), "$blob"),
    "anchors bomb": (billion_laughs(), "values"),
    "merges bomb": (billion_merges(), "keys"),
    "an anchor in itself": ("&a [*a]", "levels"),
    "10,000 deep": (DEEP, "nested deeper"),
    "no UTF-8": (b"\xff\xfe\xff", "UTF-8"),
}


@pytest.mark.parametrize(("text", "told"), FILES.values(), ids=FILES)
def test_a_bad_pipeline_file_is_told_and_not_sent(
    shipped: Shipped, tmp_path: Path, text: str | bytes, told: str
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = shipped.product.run("pipeline", "validate", str(file), exits=7)
    refused = shipped.product.run("pipeline", "create", "-f", str(file), exits=7)
    assert told in found.stdout
    assert "error[pipeline.invalid_definition]" in refused.stderr
    assert told in refused.stderr


def test_an_unknown_step_is_told_before_a_run_and_fails_one(
    shipped: Shipped, tmp_path: Path
) -> None:
    file = tmp_path / "unknown.json"
    file.write_text(json.dumps(pipeline("unknown", uses="nobody.nothing")))
    found = shipped.product.run("pipeline", "validate", str(file), exits=7)
    assert "nobody.nothing" in found.stdout
    assert failure(shipped.run({"uses": "nobody.nothing"})) == "plugin.unknown"


# ── data and steps ───────────────────────────────────────────────────────────────────────


def failure(run: dict[str, Any]) -> str:
    """The code that the step of a failed run has."""
    assert run["status"] == "failed", run
    found: str = run["steps"][0]["error"]["code"]
    return found


@pytest.mark.parametrize("text", ['a,b\n1,"open\n2,3\n', 'a,b\n1,"' + "x" * MIB])
def test_csv_that_ends_inside_a_quoted_field_fails_its_run(shipped: Shipped, text: str) -> None:
    (shipped.files / "open.csv").write_text(text)
    step = {"uses": "flexcore.csv_read", "with": {"path": "open.csv"}}
    assert failure(shipped.run(step)) == "plugin.bad_data"


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("print_a_gigabyte", "plugin.too_much_output"),
        ("exit_without_answer", "plugin.crashed"),
        ("die_by_signal", "plugin.crashed"),
    ],
)
def test_a_step_that_behaves_badly_fails_its_run_alone(
    shipped: Shipped, step: str, code: str
) -> None:
    assert failure(shipped.run({"uses": f"hostile.{step}", "with": {}})) == code


@pytest.mark.parametrize("step", ["hang", "hang_without_python"])
def test_a_step_that_never_ends_is_ended_and_holds_up_nobody(shipped: Shipped, step: str) -> None:
    never = {"uses": f"hostile.{step}", "with": {}, "timeout_s": 5.0}
    started = shipped.run(never, wait_s=1)
    assert started["status"] == "running"
    shipped.is_unharmed()
    shipped.product.run("execution", "watch", started["execution_id"], exits=1)
    assert failure(shipped.product.json("execution", "get", started["execution_id"])) == (
        "plugin.timeout"
    )
