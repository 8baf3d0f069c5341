"""What judging costs without Kafka: `Judge.judge` and `Turn.apply`, and the tailer's answer to it.

python -m benchmarks.judging [--profile]

`RevisePipeline` of 1,000 pipelines, each with its exact version and 13 headers, in turns of 250.
"same" revises the name alone, "new" the definition as well, so that nothing was seen before.
"""

import argparse
import cProfile
import gc
import pstats
import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from domain.contexts import CONTEXTS, Context
from domain.decider import Facts
from domain.definition import Definition, OnError, Step
from domain.pipeline.pipeline import Pipeline, RevisePipeline, Status
from plugins.templates import expression_problems
from schemas import catalogue
from schemas.codec import Codec
from streams.answers import Answer, answer_of, outcome_headers, outcome_value
from streams.judging import Judge
from streams.records import (
    EventRecord,
    Headers,
    Identity,
    command_hash,
    event_record,
    header_map,
    parse_expected_version,
)
from streams.topics import Topics, partition_of
from streams.turn import Turn
from streams.verdicts import CommandRecord, Decided, NewEvent

AGGREGATES = 1_000
COMMANDS = 4 * AGGREGATES
TURN = 250
PARTITIONS = 8
RUNS = 5
CODEC = Codec({name: number for number, name in enumerate(catalogue.records(), 1)})
JUDGE = Judge(CODEC, PARTITIONS, random.random, expression_problems)
TOPICS = Topics()
PIPELINE = CONTEXTS["pipeline"]
DESCRIPTION = "d" * 88
"""Makes the event 256 bytes."""
NAMES = [f"bench-0123abcd-{number}" for number in range(AGGREGATES)]


def definition(path: str) -> Definition:
    config = f'{{"path": "{path}"}}'
    return Definition(
        (Step("read", "flexcore.csv_read", (), OnError.FAIL, None, None, None, config),)
    )


@dataclass(slots=True)
class World:
    """The lane's view, over dictionaries."""

    states: dict[str, tuple[int, Any]]
    answers: dict[Identity, Answer] = field(default_factory=dict)

    def answer(self, identity: Identity) -> Answer | None:
        return self.answers.get(identity)

    def state(self, context: Context, aggregate_id: str) -> tuple[int, Any]:
        return self.states.get(aggregate_id, (0, context.decider.initial))

    def pipeline(self, pipeline_id: str) -> Pipeline | None:
        raise AssertionError(f"a revision needs no other pipeline than {pipeline_id}")


def world() -> World:
    """1,000 pipelines at version 1."""
    of = definition("x.csv")
    return World(
        {
            name: (1, Pipeline(name, Status.DRAFT, 1, of.content_hash(), "name", "", of))
            for name in NAMES
        }
    )


def commands(count: int, *, new: bool) -> list[CommandRecord]:
    """`count` revisions; every pipeline is revised again after 1,000."""
    at_ms = int(time.time() * 1000)
    return [
        command(number, definition(f"x{number}.csv" if new else "x.csv"), at_ms)
        for number in range(count)
    ]


def command(number: int, of: Definition, at_ms: int) -> CommandRecord:
    name = NAMES[number % AGGREGATES]
    value = CODEC.encode(RevisePipeline(name, f"name {number}", DESCRIPTION, of))
    version = 1 + number // AGGREGATES
    partition = partition_of(name, PARTITIONS)
    headers = _headers(name, str(uuid.uuid4()), version)
    return CommandRecord("pipeline", partition, number, at_ms, name.encode(), value, headers)


def _headers(aggregate_id: str, command_id: str, version: int) -> Headers:
    """What the doors of FlexCore send."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", command_id.encode()),
        ("ce_source", b"flexcore/api"),
        ("ce_type", b"flexcore.pipeline.RevisePipeline"),
        ("ce_time", b"2026-11-22T12:00:00.123456Z"),
        ("ce_subject", aggregate_id.encode()),
        ("content-type", b"application/avro"),
        ("ce_tenantid", b"default"),
        ("ce_actorid", b"anonymous"),
        ("ce_correlationid", command_id.encode()),
        ("ce_causationid", command_id.encode()),
        ("ce_expectedversion", str(version).encode()),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ]


# ── the lane's side ──────────────────────────────────────────────────────────────────────


def turns(records: Sequence[CommandRecord], of: World) -> Iterator[Turn]:
    """Judge and apply all; every command makes one event. A turn that is over is let go."""
    for start in range(0, len(records), TURN):
        turn = Turn(datetime.now(UTC), TOPICS, CODEC, PARTITIONS, "flexcore/worker")
        for record in records[start : start + TURN]:
            verdict = JUDGE.judge(record, of, turn.at, final=False)
            assert isinstance(verdict, Decided), verdict
            turn.apply(record, verdict)
            of.states[verdict.answer.identity.aggregate_id] = verdict.version, verdict.state
        of.answers = turn.answers
        yield turn


def judge_all(records: Sequence[CommandRecord], of: World) -> None:
    for turn in turns(records, of):
        assert turn.events


# ── the tailer's side ────────────────────────────────────────────────────────────────────


def read_back(events: Sequence[NewEvent]) -> list[EventRecord]:
    return [
        event_record(e.context, e.partition, number, 0, e.key, e.value, e.headers)
        for number, e in enumerate(events)
    ]


def answers_of(events: Sequence[EventRecord]) -> list[Answer]:
    return [answer for event in events if (answer := answer_of(event)) is not None]


def outcomes(answers: Sequence[Answer]) -> None:
    at = datetime.now(UTC)
    for answer in answers:
        outcome_value(answer, CODEC)
        outcome_headers(answer, at)


# ── measuring ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Part:
    """`work` is measured on what `prepare` makes anew for each run."""

    name: str
    prepare: Callable[[], Any]
    work: Callable[[Any], Any]

    def run_us(self, count: int) -> float:
        """µs of the processor per command, of one run."""
        given = self.prepare()
        gc.collect()
        start = time.process_time()
        self.work(given)
        return (time.process_time() - start) * 1e6 / count


def parts(records: Sequence[CommandRecord]) -> Iterator[Part]:
    """All of it, and each part by itself as far as it is a function of its own."""
    at = datetime.now(UTC)
    facts = Facts(at=at, actor="anonymous", expression_problems=expression_problems)
    state = world().states[NAMES[0]][1]
    version = parse_expected_version("7")
    name = "flexcore.pipeline.RevisePipeline"
    values = [record.value or b"" for record in records]

    def given() -> Sequence[CommandRecord]:
        return records

    def decoded() -> list[Any]:
        return [CODEC.decode(value) for value in values]

    def decided() -> list[Any]:
        return [PIPELINE.decider.decide(message, state, facts)[0] for message in decoded()]

    def events() -> list[NewEvent]:
        return [event for turn in turns(records, world()) for event in turn.events]

    yield Part("judge + apply", world, lambda of: judge_all(records, of))
    yield Part("  partition_of", given, lambda _: [partition_of(n, 8) for n in NAMES * 4])
    yield Part("  header_map", given, lambda rs: [header_map(r.headers) for r in rs])
    yield Part("  command_hash", given, lambda _: [command_hash(name, v, version) for v in values])
    yield Part("  decode", given, lambda _: decoded())
    yield Part(
        "  decide", decoded, lambda ms: [PIPELINE.decider.decide(m, state, facts) for m in ms]
    )
    yield Part("  evolve", decided, lambda es: [PIPELINE.decider.evolve(state, e) for e in es])
    yield Part("  encode", decided, lambda es: [CODEC.encode(e) for e in es])
    yield Part("event_record", events, read_back)
    yield Part("answer_of", lambda: read_back(events()), answers_of)
    yield Part("outcome", lambda: answers_of(read_back(events())), outcomes)


def profile(records: Sequence[CommandRecord]) -> None:
    profiler = cProfile.Profile()
    of = world()
    profiler.runcall(judge_all, records, of)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


def main() -> None:
    """Print µs per command, the median of five runs with the lowest and the highest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    same, new = commands(COMMANDS, new=False), commands(COMMANDS, new=True)
    if asked.profile:
        profile(same)
        return
    size = len(next(turns(same, world())).events[0].value)
    print(f"µs per command, {COMMANDS} commands, an event of {size} bytes; median of {RUNS}")
    print(f"{'':16}{'same definition':>24}{'new definition':>24}")
    for of_same, of_new in zip(parts(same), parts(new), strict=True):
        print(f"{of_same.name:16}{_cell(of_same):>24}{_cell(of_new):>24}")


def _cell(part: Part) -> str:
    runs = [part.run_us(COMMANDS) for _ in range(RUNS)]
    return f"{statistics.median(runs):8.1f} ({min(runs):.1f}–{max(runs):.1f})"


if __name__ == "__main__":
    main()
