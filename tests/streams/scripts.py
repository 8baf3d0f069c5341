"""Builders of commands and records, so that a test of the write path reads on one screen."""

import uuid
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from domain.contexts import Context
from domain.definition import Definition, OnError, Step
from domain.execution.messages import CompleteStep, ExecutePipeline
from domain.pipeline.pipeline import ActivatePipeline, CreatePipeline, Pipeline, RevisePipeline
from schemas import catalogue
from schemas.codec import Codec
from streams.answers import Answer
from streams.judging import Judge
from streams.records import Headers, Identity
from streams.topics import partition_of
from streams.verdicts import CommandRecord, InternalCommand
from tests.streams.kafka_model import PARTITIONS, Kafka

CODEC = Codec({name: number for number, name in enumerate(catalogue.records(), 1)})
JUDGE = Judge(CODEC, PARTITIONS, lambda: 0.5)
PLACES = tuple((c, p) for c in ("pipeline", "execution") for p in range(PARTITIONS))
OUTCOMES = "outcomes"
STEP = Step("only", "flexcore.nothing", (), OnError.FAIL, None, None, None, "{}")
DEFINITION = Definition((STEP,))


# ── commands ─────────────────────────────────────────────────────────────────────────────


def create(pipeline_id: str, name: str = "A name") -> CreatePipeline:
    return CreatePipeline(pipeline_id, name, "", DEFINITION)


def revise(pipeline_id: str, name: str) -> RevisePipeline:
    return RevisePipeline(pipeline_id, name, "", DEFINITION)


def activate(pipeline_id: str) -> ActivatePipeline:
    return ActivatePipeline(pipeline_id, "")


def execute(execution_id: str, pipeline_id: str) -> ExecutePipeline:
    return ExecutePipeline(execution_id, pipeline_id, None, 0, "{}")


def completed(execution_id: str, output_json: str = "{}") -> InternalCommand:
    """The engine's word that the only step of a run is done."""
    done = CompleteStep(execution_id, "only", 1, 0.1, output_json)
    command_id = uuid.uuid5(uuid.UUID(execution_id), "only/1/complete")
    place = "execution", partition_of(execution_id, PARTITIONS)
    return InternalCommand(*place, execution_id, done, command_id, "", "")


def command_id(number: int) -> str:
    return str(uuid.UUID(int=number))


@cache
def pipeline_at(partition: int, number: int = 0) -> str:
    """The id of a pipeline that stands on a partition."""
    ids = (f"p{n}" for n in range(1_000))
    return [i for i in ids if partition_of(i, PARTITIONS) == partition][number]


@cache
def execution_at(partition: int, number: int = 0) -> str:
    ids = (str(uuid.UUID(int=n)) for n in range(1, 1_000))
    return [i for i in ids if partition_of(i, PARTITIONS) == partition][number]


def context_of(message: Any) -> str:
    return "execution" if isinstance(message, ExecutePipeline) else "pipeline"


def aggregate_of(message: Any) -> str:
    return str(
        message.execution_id if isinstance(message, ExecutePipeline) else message.pipeline_id
    )


def record(
    message: Any, number: int = 1, *, offset: int = 0, expected: str = "", **changes: Any
) -> CommandRecord:
    """A command where it belongs; `changes` are fields of the record that differ."""
    headers: Headers = [("ce_id", command_id(number).encode())]
    if expected:
        headers = [*headers, ("ce_expectedversion", expected.encode())]
    parts: dict[str, Any] = {
        "context": context_of(message),
        "partition": partition_of(aggregate_of(message), PARTITIONS),
        "offset": offset,
        "timestamp_ms": int(Kafka().now.timestamp() * 1000),
        "key": aggregate_of(message).encode(),
        "value": CODEC.encode(message),
        "headers": headers,
    }
    return CommandRecord(**(parts | changes))


# ── a world to judge them in ─────────────────────────────────────────────────────────────


@dataclass
class World:
    """What a judge sees: aggregates by id, and answers."""

    states: dict[str, tuple[int, Any]] = field(default_factory=dict)
    answers: dict[Identity, Answer] = field(default_factory=dict)

    def answer(self, identity: Identity) -> Answer | None:
        return self.answers.get(identity)

    def state(self, context: Context, aggregate_id: str) -> tuple[int, Any]:
        return self.states.get(aggregate_id, (0, context.decider.initial))

    def pipeline(self, pipeline_id: str) -> Pipeline | None:
        state = self.states.get(pipeline_id, (0, None))[1]
        return state if isinstance(state, Pipeline) else None
