"""Bodies of our own schemas: a message or `Unreadable`; a command is answered, and never breaks the judge.

number of the record, 1 byte │ Avro body
"""

import struct
from collections.abc import Iterable
from typing import Any

from domain.contexts import CONTEXTS, Context
from domain.errors import CODES, Unreadable
from domain.pipeline.pipeline import Pipeline, Status
from schemas import catalogue, fits
from schemas.codec import HEAD_BYTES
from streams.records import Identity
from streams.topics import partition_of
from streams.verdicts import CommandRecord, Decided, Rejected
from tests.fuzz.bounded import bounded
from tests.fuzz.choices import Choices
from tests.streams.kafka_model import PARTITIONS, START
from tests.streams.scripts import (
    CODEC,
    DEFINITION,
    JUDGE,
    World,
    activate,
    command_id,
    create,
    execute,
    execution_at,
    revise,
)

NAMES = list(catalogue.records())
CLASSES = {cls: context for context in CONTEXTS.values() for cls in context.commands}
ID = command_id(1)
ACTIVE = Pipeline("p", Status.ACTIVE, 1, DEFINITION.content_hash(), "P", "", DEFINITION)


class Standing(World):
    """Its aggregates are pipelines."""

    def state(self, context: Context, aggregate_id: str) -> tuple[int, Any]:
        if context.name == "pipeline":
            return super().state(context, aggregate_id)
        return 0, context.decider.initial


def check(data: bytes) -> None:
    with bounded():
        choices = Choices(data)
        name = choices.one(NAMES)
        head = struct.pack(">BI", 0, CODEC.ids[name])
        try:
            message = CODEC.decode(head + choices.rest())
        except Unreadable:
            return
        assert catalogue.full_names()[type(message)] == name
        fits.check(message)
        written = CODEC.encode(message)
        assert CODEC.encode(CODEC.decode(written)) == written
        if type(message) in CLASSES:
            judge(message, written)


def judge(message: Any, value: bytes) -> None:
    """The command is judged without a fault of ours, and what it makes can be read."""
    context = CLASSES[type(message)]
    aggregate_id = getattr(message, context.id_field)
    key = aggregate_id.encode()
    record = CommandRecord(
        context.name,
        partition_of(aggregate_id, PARTITIONS),
        0,
        int(START.timestamp() * 1000),
        key,
        value,
        [("ce_id", ID.encode())],
    )
    verdict = JUDGE.judge(record, Standing({"p": (2, ACTIVE)}), START, True)
    match verdict:
        case Decided(answer, events):
            assert answer.identity == Identity(context.name, aggregate_id, ID)
            for event in events:
                assert CODEC.encode(CODEC.decode(event.value)) == event.value
        case Rejected(answer, dead):
            assert answer is not None or len(key) in (0, *range(256, len(key) + 1)), dead
            assert answer is None or answer.error_code in CODES, answer
            assert "internal." not in f"{answer} {dead}", verdict
        case _:
            raise AssertionError(f"{verdict} of a command at home")


def seeds() -> Iterable[bytes]:
    for message in (
        create("p"),
        revise("p", "B"),
        activate("p"),
        execute(execution_at(0), "p"),
        ACTIVE,
    ):
        name = catalogue.full_names()[type(message)]
        yield bytes([NAMES.index(name)]) + CODEC.encode(message)[HEAD_BYTES:]
