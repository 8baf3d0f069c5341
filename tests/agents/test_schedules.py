"""Schedules in the engine: each time is told once, by whoever owns the pipeline then."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agents.engine import Engine
from agents.schedules import FEW_TIMES, LOOK_AGAIN, MAX_LOOKS
from agents.variables import variables_of
from domain.decider import Facts
from domain.execution.state import Running
from domain.pipeline.pipeline import (
    PIPELINE,
    ActivatePipeline,
    ArchivePipeline,
    CreatePipeline,
    PausePipeline,
    PipelineScheduleFired,
    RevisePipeline,
)
from domain.schedule import CatchUp, Schedule
from schemas import catalogue
from streams.memory_stream_index import MemoryStreamIndex
from streams.records import EventRecord
from streams.topics import event_key, partition_of
from streams.verdicts import InternalCommand, NewEvent
from tests.agents.world import CODEC, PARTITIONS, FakeRunner
from tests.domain.samples import ONE

HALF_PAST = Schedule("30 * * * *", "UTC", CatchUp.LATEST, "{}")


@dataclass
class World:
    """A log of pipelines, and the engine of one worker that owns them all."""

    now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)
    index: MemoryStreamIndex = field(default_factory=MemoryStreamIndex)
    unread: list[EventRecord] = field(default_factory=list)
    sent: list[InternalCommand] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.states: dict[str, tuple[int, Any]] = {}
        self.restart()

    def restart(self) -> None:
        """The worker dies; another one takes over."""
        self.sent.clear()
        self.engine = Engine(
            FakeRunner(), self.index, CODEC, self.sent.extend, PARTITIONS, in_flight=4
        )
        self.own()

    def own(self, *numbers: int) -> None:
        places = [("pipeline", n) for n in numbers or range(PARTITIONS)]
        self.engine._own(frozenset(places))
        self.turns()

    def schedule(self, name: str = "p1", schedule: Schedule | None = HALF_PAST) -> None:
        self.decide(name, CreatePipeline(name, "A", "", ONE, schedule))
        self.decide(name, ActivatePipeline(name, ""))

    def decide(self, name: str, command: Any, *, told: bool = True, read: bool = True) -> None:
        """Decide and write; the engine may not be told, and the index may be behind."""
        version, state = self.states.get(name, (0, PIPELINE.initial))
        events = PIPELINE.decide(command, state, Facts(at=self.now, actor="test"))
        self.states[name] = version + len(events), PIPELINE.fold(events, state)
        new = [self._written(name, version + n, e) for n, e in enumerate(events, 1)]
        if read:
            self.read()
        if told:
            self.engine.on_events(new)
        self.engine.step(self.now)

    def judge(self) -> list[PipelineScheduleFired]:
        """What the engine said becomes true; the events that this makes."""
        said, self.sent[:] = list(self.sent), []
        before = {name: version for name, (version, _) in self.states.items()}
        for one in said:
            self.decide(one.aggregate_id, one.command)
        found = [
            CODEC.decode(event.value or b"")
            for name, version in before.items()
            for event in self.index.events("pipeline", name, version + 1)
        ]
        self.turns()
        return found

    def read(self) -> None:
        self.index.append(self.unread)
        self.unread.clear()

    def turns(self, count: int = 3) -> None:
        for _ in range(count):
            self.engine.step(self.now)

    def later(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)
        self.turns()

    @property
    def told(self) -> list[str]:
        """The pipelines and times of the commands that were sent."""
        return [f"{c.command.pipeline_id} {c.command.scheduled_for:%H:%M}" for c in self.sent]

    def _written(self, name: str, version: int, event: Any) -> NewEvent:
        partition = partition_of(name, PARTITIONS)
        kind = catalogue.full_names()[type(event)]
        headers = [("ce_id", f"{name}#{version}".encode()), ("ce_type", kind.encode())]
        value = CODEC.encode(event)
        self.unread.append(
            EventRecord("pipeline", name, version, partition, version, 0, value, dict(headers))
        )
        key = event_key(name, version)
        return NewEvent("pipeline", partition, name, version, event, key, value, headers)


def test_a_time_that_comes_is_told_once() -> None:
    world = World()
    world.schedule()
    world.later(29.9)
    assert world.told == []
    world.later(0.1)
    world.later(1)
    assert world.told == ["p1 12:30"]
    (fired,) = world.judge()
    assert (fired.scheduled_for.minute, fired.skipped) == (30, 0)
    world.later(58)
    assert world.told == []
    world.later(1)
    assert world.told == ["p1 13:30"]


def test_the_engine_waits_for_the_next_time() -> None:
    world = World()
    world.schedule()
    world.turns()
    assert world.engine.next_due() == world.now + timedelta(minutes=30)


def test_only_what_is_active_and_has_a_schedule_is_told() -> None:
    world = World()
    world.schedule("none", None)
    world.decide("draft", CreatePipeline("draft", "A", "", ONE, HALF_PAST))
    for name, command in (("paused", PausePipeline), ("gone", ArchivePipeline)):
        world.schedule(name)
        world.turns()
        world.decide(name, command(name, ""))
    world.later(60)
    assert world.told == []
    world.own()
    world.later(60)
    assert world.told == []


def test_what_was_activated_before_its_worker_died_is_told_by_the_next() -> None:
    world = World()
    world.schedule()
    world.restart()
    assert world.engine.next_due() == world.now + timedelta(minutes=30)
    world.later(30)
    assert world.told == ["p1 12:30"]


def test_a_time_that_was_told_but_not_decided_is_told_again_by_the_next_with_the_same_id() -> None:
    world = World()
    world.schedule()
    world.later(30)
    (first,) = world.sent
    world.restart()
    (second,) = world.sent
    assert second == replace(first)
    assert len(world.judge()) == 1
    world.restart()
    assert world.told == []


def test_what_was_decided_but_not_told_is_not_told_again() -> None:
    world = World()
    world.schedule()
    world.later(30)
    (said,) = world.sent
    world.sent.clear()
    world.decide("p1", said.command, told=False)
    world.own()
    assert world.told == []
    assert world.engine.next_due() == world.now + timedelta(hours=1)


def test_times_that_passed_while_nothing_ran_are_made_up_for_at_once() -> None:
    world = World()
    world.schedule()
    world.now += timedelta(hours=5)
    world.restart()
    assert world.told == ["p1 12:30"]
    (fired,) = world.judge()
    assert (fired.scheduled_for.hour, fired.skipped) == (16, 4)
    assert world.engine.next_due() == datetime(2026, 1, 1, 17, 30, tzinfo=UTC)


def test_a_command_that_was_lost_is_made_up_for_at_the_next_time() -> None:
    world = World()
    world.schedule()
    world.later(30)
    world.sent.clear()
    world.later(60)
    assert world.told == ["p1 13:30"]
    (fired,) = world.judge()
    assert (fired.scheduled_for.hour, fired.skipped) == (13, 1)


def test_a_schedule_without_catching_up_goes_on_with_its_next_time() -> None:
    world = World()
    world.schedule("p1", replace(HALF_PAST, catch_up=CatchUp.NONE))
    world.now += timedelta(hours=5)
    world.restart()
    assert world.judge() == []
    assert world.engine.next_due() == datetime(2026, 1, 1, 17, 30, tzinfo=UTC)
    world.later(30)
    (fired,) = world.judge()
    assert (fired.scheduled_for.hour, fired.skipped) == (17, 5)


def test_an_event_is_waited_for_that_the_index_has_not_read_yet() -> None:
    world = World()
    world.decide("p1", CreatePipeline("p1", "A", "", ONE, HALF_PAST))
    world.decide("p1", ActivatePipeline("p1", ""), read=False)
    assert world.engine.next_due() == world.now + LOOK_AGAIN
    world.read()
    world.turns()
    assert world.engine.next_due() == world.now + timedelta(minutes=30)


def test_a_pause_that_nobody_told_of_is_found_before_a_time_is_told() -> None:
    world = World()
    world.schedule()
    world.turns()
    world.decide("p1", PausePipeline("p1", ""), told=False)
    world.later(31)
    assert world.told == []
    assert world.engine.next_due() is None


def test_another_schedule_takes_the_place_of_the_one_before() -> None:
    world = World()
    world.schedule()
    quarter = replace(HALF_PAST, cron="45 * * * *")
    world.decide("p1", RevisePipeline("p1", "A", "", ONE, quarter))
    world.later(31)
    assert world.told == []
    world.later(15)
    assert world.told == ["p1 12:45"]


def test_schedules_of_lost_partitions_are_others_business() -> None:
    world = World()
    names = [f"p{n}" for n in range(20)]
    for name in names:
        world.schedule(name)
    world.own(1)
    world.later(30)
    mine = [f"{name} 12:30" for name in names if partition_of(name, PARTITIONS) == 1]
    assert sorted(world.told) == sorted(mine)
    assert {command.partition for command in world.sent} == {1}


def test_very_many_schedules_are_looked_at_some_at_a_time() -> None:
    world = World()
    names = [f"p{n}" for n in range(3 * MAX_LOOKS)]
    for name in names:
        world.schedule(name)
    world.restart()
    while world.engine.next_due() != datetime(2026, 1, 1, 12, 30, tzinfo=UTC):
        world.now += LOOK_AGAIN
        world.engine.step(world.now)
    world.later(30)
    assert len(world.told) == len(names)


def test_times_of_revisions_before_are_not_kept() -> None:
    world = World()
    world.schedule()
    for number in range(3 * FEW_TIMES):
        revised = replace(HALF_PAST, cron=f"{number % 60} * * * *")
        world.decide("p1", RevisePipeline("p1", "A", "", ONE, revised))
    assert len(world.engine._schedules._times) <= FEW_TIMES + 2


def test_an_event_that_cannot_be_read_stops_no_other_schedule() -> None:
    world = World()
    world.schedule("p1")
    world.schedule("p2")
    broken = world.index.event("pipeline", "p1", 1)
    assert broken is not None
    world.index.replace(broken._replace(value=b"\0\0\0\0\7?"))
    world.restart()
    world.later(30)
    assert world.told == ["p2 12:30"]


def test_a_step_knows_the_time_that_its_run_is_for() -> None:
    at = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    run = Running("e", "p1", 1, at, None, {}, "{}", ONE, at - timedelta(minutes=5))
    assert variables_of(run)["execution"]["scheduled_for"] == "2026-01-01T12:25:00Z"
    assert variables_of(replace(run, scheduled_for=None))["execution"]["scheduled_for"] is None
