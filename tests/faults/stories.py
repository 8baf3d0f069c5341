"""A made-up run, sound as it stands, for planting corruptions into."""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from domain.contexts import CONTEXTS
from domain.decider import Facts
from domain.pipeline.pipeline import CreatePipeline, RevisePipeline
from streams.topics import partition_of
from tests.faults.history import Identity, Operation, Phase
from tests.faults.load import REVISED
from tests.faults.logged import (
    DeadLetter,
    Dump,
    LoggedAnswer,
    LoggedCommand,
    LoggedEvent,
    Place,
)

PARTITIONS = 8
AT = datetime(2026, 1, 1, tzinfo=UTC)
PIPELINE = CONTEXTS["pipeline"].decider
RUN = "3f2b8a1e-0000-4000-8000-000000000001"
STATUS: dict[Phase, str] = {"ok": "accepted", "fail": "refused"}


@dataclass
class Story:
    """Everything that a run leaves behind; lists may be tampered with."""

    operations: list[Operation] = field(default_factory=list)
    events: list[LoggedEvent] = field(default_factory=list)
    answers: list[LoggedAnswer] = field(default_factory=list)
    commands: list[LoggedCommand] = field(default_factory=list)
    committed: dict[Place, int] = field(default_factory=dict)
    ends: Counter[Place] = field(default_factory=Counter)
    dead: list[DeadLetter] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    states: dict[str, Any] = field(default_factory=dict)
    now: float = 0.0

    def dump(self) -> Dump:
        """What the topics hold."""
        return Dump(
            partitions=PARTITIONS,
            events=self.events,
            answers=self.answers,
            commands=self.commands,
            ends=self.ends,
            committed=self.committed or dict(self.ends),
            dead=self.dead,
            stuck=self.stuck,
        )

    def ask(
        self,
        aggregate: str,
        *,
        context: str = "pipeline",
        expected: str = "any",
        command_id: str = "",
        content: str = "",
    ) -> Operation:
        """A command is sent and delivered."""
        number = len(self.operations)
        operation = Operation(
            op="RevisePipeline",
            phase="invoke",
            t=self._tick(),
            client=0,
            context=context,
            aggregate=aggregate,
            command_id=command_id or str(uuid.UUID(int=number)),
            hash=content or f"hash {number}",
            expected=expected,
            payload=f"name {number}" if context == "pipeline" else "",
        )
        self.operations.append(operation)
        make = RevisePipeline if aggregate in self.states else CreatePipeline
        body = make(aggregate, operation.payload, "", REVISED) if context == "pipeline" else None
        self.put(operation.identity, operation.hash, body)
        return operation

    def put(self, identity: Identity, content: str, body: Any = None) -> LoggedCommand:
        """A record on a command topic; without content it is no command."""
        place = identity[0], partition_of(identity[1], PARTITIONS)
        command = LoggedCommand(
            context=identity[0],
            partition=place[1],
            offset=self.ends[place],
            identity=identity,
            digest=f"command {len(self.commands)}",
            hash=content,
            body=body,
        )
        self.commands.append(command)
        self.ends[place] += 1
        return command

    def bury(self, command: LoggedCommand) -> None:
        """A record is put aside."""
        self.dead.append(
            DeadLetter(
                context=command.context,
                partition=command.partition,
                offset=command.offset,
                digest=command.digest,
                reason="command.unreadable",
            )
        )

    def answer(
        self, asked: Operation, phase: Phase, versions: Sequence[int] = (), code: str = ""
    ) -> Operation:
        """The client reads an answer, which stands on the topic."""
        place = f"0@{len(self.answers)}"
        told = Operation(
            op=asked.op,
            phase=phase,
            t=self._tick(),
            client=0,
            context=asked.context,
            aggregate=asked.aggregate,
            command_id=asked.command_id,
            hash=asked.hash,
            versions=tuple(versions),
            code=code,
            pid=7,
            place=place,
        )
        self.operations.append(told)
        self.answers.append(
            LoggedAnswer(
                place=place,
                context=asked.context,
                aggregate=asked.aggregate,
                command_id=asked.command_id,
                hash=asked.hash,
                status="unavailable" if code == "owner.unavailable" else STATUS[phase],
                code=code,
                versions=tuple(versions),
            )
        )
        return told

    def log(
        self, aggregate: str, types: Sequence[str], asked: Operation | None = None, **step: object
    ) -> list[int]:
        """A command's events are committed; without `asked` they are the engine's."""
        context = "pipeline" if asked is None and not step else "execution"
        context = asked.context if asked is not None else context
        last = max((e.version for e in self.events if e.aggregate == aggregate), default=0)
        command_id = str(uuid.UUID(int=10_000 + len(self.events)))
        bodies = self._decided(asked) if context == "pipeline" and asked is not None else []
        for index, kind in enumerate(types):
            event = LoggedEvent(
                context=context,
                partition=partition_of(aggregate, PARTITIONS),
                offset=len(self.events),
                aggregate=aggregate,
                version=last + 1 + index,
                type=kind,
                source="flexcore/engine" if asked is None else "flexcore/worker",
                command_id=command_id if asked is None else asked.command_id,
                hash="" if asked is None else asked.hash,
                index=index,
                count=len(types),
                digest=f"digest {len(self.events)}",
                name=asked.payload if asked is not None else "",
                step=str(step.get("step", "")) if kind.startswith("PipelineStep") else "",
                attempt=int(str(step.get("attempt", 1))) if kind.startswith("PipelineStep") else 0,
                delivery=int(str(step.get("delivery", 1))) if kind.endswith("Scheduled") else 0,
                body=bodies[index] if bodies else None,
            )
            self.events.append(event)
        return [last + 1 + index for index in range(len(types))]

    def _decided(self, asked: Operation) -> Sequence[Any]:
        """What the decider makes of a command; its state goes on from there."""
        known = (one for one in self.commands if one.identity == asked.identity)
        body = next(one.body for one in known if one.hash == asked.hash)
        state = self.states.get(asked.aggregate, PIPELINE.initial)
        made = PIPELINE.decide(body, state, Facts(at=AT, actor="anonymous"))
        self.states[asked.aggregate] = PIPELINE.fold(made, state)
        return made

    def revise(self, aggregate: str, expected: str = "any") -> Operation:
        """A command that is accepted; returns it."""
        asked = self.ask(aggregate, expected=expected)
        self.answer(asked, "ok", self.log(aggregate, ["PipelineRevised"], asked))
        return asked

    def _tick(self) -> float:
        self.now += 1.0
        return self.now


def sound_story() -> Story:
    """Three revisions, a repeat, a conflict, a reused id, and a run whose step was redelivered."""
    story = Story()
    story.revise("p", "none")
    story.revise("p", "1")
    again = story.revise("q")
    story.answer(again, "ok", [1])
    late = story.ask("p", expected="1")
    story.answer(late, "fail", code="aggregate.version_conflict")
    reused = story.ask("q", command_id=again.command_id)
    story.answer(reused, "fail", code="command.id_reused")
    story.answer(story.ask("q"), "ok")
    started = story.ask(RUN, context="execution")
    versions = story.log(RUN, ["ExecutionStarted", "PipelineStepScheduled"], started, step="read")
    story.answer(started, "ok", versions)
    story.log(RUN, ["PipelineStepScheduled"], step="read", delivery=2)
    story.log(RUN, ["PipelineStepCompleted", "ExecutionCompleted"], step="read")
    return story
