"""An engine with a runner that only remembers, and a log that is written by the real decider."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from agents.engine import Engine
from domain.decider import Facts
from domain.definition import Definition, OnError, PinnedDefinition, Retry, Step
from domain.execution.execution import EXECUTION
from domain.execution.messages import ExecutePipeline
from plugins.step_call import StepCall, StepResult
from schemas import catalogue
from schemas.codec import Codec
from streams.memory_stream_index import MemoryStreamIndex
from streams.records import EventRecord
from streams.topics import event_key, partition_of
from streams.turn import Place
from streams.verdicts import InternalCommand, NewEvent

PARTITIONS = 4
CODEC = Codec({name: number for number, name in enumerate(catalogue.records(), 1)})
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def step(
    step_id: str, *needs: str, config: str = "{}", attempts: int = 1, when: str | None = None
) -> Step:
    retry = Retry(attempts, 10.0, 2.0, 60.0, False) if attempts > 1 else None
    return Step(step_id, "flexcore.derive", needs, OnError.FAIL, None, retry, when, config)


class FakeRunner:
    """The plugin host's place: it keeps what it was given until a test ends it."""

    def __init__(self) -> None:
        self.calls: dict[str, tuple[StepCall, Callable[[StepResult], None]]] = {}
        self.stopped: list[str] = []

    def submit(self, call: StepCall, on_done: Callable[[StepResult], None]) -> None:
        assert call.key not in self.calls, "the same attempt runs twice"
        self.calls[call.key] = call, on_done

    def stop(self, concerned: Callable[[str], bool]) -> None:
        self.stopped = [key for key in self.calls if concerned(key)]
        self.cancel(concerned)

    def cancel(self, concerned: Callable[[str], bool]) -> None:
        self.calls = {key: call for key, call in self.calls.items() if not concerned(key)}

    def end(self, key: str, result: StepResult) -> None:
        _, on_done = self.calls.pop(key)
        on_done(result)

    @property
    def steps(self) -> list[str]:
        """The ids of the steps that run."""
        return [key.split("/")[1] for key in self.calls]


@dataclass
class World:
    """A log of executions, and the engine of one worker that owns them all."""

    in_flight: int = 8
    index: MemoryStreamIndex = field(default_factory=MemoryStreamIndex)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.states: dict[str, tuple[int, Any]] = {}
        self.offset = 0
        self.restart()

    def restart(self) -> None:
        """The worker dies; another one takes over."""
        self.runner = FakeRunner()
        self.sent: list[InternalCommand] = []
        self.engine = Engine(
            self.runner,
            self.index,
            CODEC,
            self.sent.extend,
            PARTITIONS,
            in_flight=self.in_flight,
        )

    def start(self, *steps: Step, deadline_s: float | None = None, input_json: str = "{}") -> str:
        """A new run; the engine hears of its events."""
        run = str(uuid.uuid4())
        definition = Definition(steps)
        pinned = PinnedDefinition("p", True, 1, definition.content_hash(), definition)
        self.decide(run, ExecutePipeline(run, "p", deadline_s, 0, input_json), pinned)
        return run

    def decide(self, run: str, command: Any, pinned: PinnedDefinition | None = None) -> None:
        """Decide, write, and tell the engine."""
        version, state = self.states.get(run, (0, EXECUTION.initial))
        facts = Facts(at=self.now, actor="test", pipeline=pinned)
        events = EXECUTION.decide(command, state, facts)
        self.states[run] = version + len(events), EXECUTION.fold(events, state)
        new = [self._written(run, version + n, e) for n, e in enumerate(events, 1)]
        self.engine.on_events(new)
        self.turn()

    def judge(self) -> None:
        """What the engine said becomes true."""
        said, self.sent[:] = list(self.sent), []
        for command in said:
            self.decide(command.aggregate_id, command.command)

    def turn(self) -> None:
        self.engine.step(self.now)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.turn()

    def own(self, places: Sequence[Place] | None = None) -> None:
        """The worker owns all places, or these; its thread is this one."""
        every = [("execution", number) for number in range(PARTITIONS)]
        self.engine._own(frozenset(every if places is None else places))
        self.turn()

    def _written(self, run: str, version: int, event: Any) -> NewEvent:
        partition = partition_of(run, PARTITIONS)
        name = catalogue.full_names()[type(event)]
        headers = [("ce_id", f"{run}#{version}".encode()), ("ce_type", name.encode())]
        value = CODEC.encode(event)
        self.offset += 1
        self.index.append(
            [
                EventRecord(
                    "execution", run, version, partition, self.offset, 0, value, dict(headers)
                )
            ]
        )
        key = event_key(run, version)
        return NewEvent("execution", partition, run, version, event, key, value, headers)
