"""Whatever happens to workers and transactions, the promises hold: lane, fence and tailer together.

Two workers over the Kafka model; any of them may be a zombie that was not told of a rebalance.
"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streams.error_table import Action
from streams.records import command_hash, header_map, parse_expected_version, text
from tests.streams.driven_worker import Worker, given_answers
from tests.streams.kafka_model import Kafka
from tests.streams.promises import Sent, answers_hold, history_is_whole
from tests.streams.scripts import (
    CODEC,
    OUTCOMES,
    PLACES,
    activate,
    completed,
    create,
    execute,
    execution_at,
    pipeline_at,
    revise,
)

PIPELINES = [pipeline_at(0), pipeline_at(1)]
EXECUTIONS = [execution_at(1), *(execution_at(0, number) for number in range(4))]
COMMANDS = [
    *(create(p) for p in PIPELINES),
    *(activate(p) for p in PIPELINES),
    *(revise(p, name) for p in PIPELINES for name in ("B", "C")),
    *(execute(e, p) for e in EXECUTIONS for p in PIPELINES),
]
EXPECTED = ["", "", "", "none", "exists", "1", "2"]
PIECES = [
    "fetch",
    "fetch_again",
    "begin",
    "send_offsets",
    "end",
    "read",
    "read_outcomes",
    "commit_answered",
    "step_fence",
]

slots = st.integers(0, 1)
commands = st.tuples(st.sampled_from(COMMANDS), st.integers(1, 20), st.sampled_from(EXPECTED))
fates = st.sampled_from(
    ["commit"] * 4 + ["abort", "abort", "unknown_committed", "unknown_aborted", "no_offsets"]
)


class WritePath(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.kafka = Kafka()
        self.workers = [Worker(self.kafka, slot) for slot in range(2)]
        self.sent: set[Sent] = set()
        self.checked = -1
        # One pipeline can be executed from the start, the other one is waited for.
        self.send(create(PIPELINES[0]), 90, "")
        self.send(activate(PIPELINES[0]), 91, "")
        self.workers[0].own().work()
        self.rebalance(told={0, 1}, lowest=0)
        self.finish_fence(0)
        self.finish_fence(1)

    # ── clients and engine ───────────────────────────────────────────────────────────────

    @rule(commands=st.lists(commands, min_size=1, max_size=6))
    def send_some(self, commands: list[tuple[Any, int, str]]) -> None:
        for command in commands:
            self.send(*command)

    def send(self, message: Any, number: int, expected: str) -> None:
        sent = self.workers[0].send(message, number, expected=expected)
        headers = header_map(sent.headers)
        identity = sent.context, (sent.key or b"").decode(), text(headers, "ce_id")
        value = sent.value or b""
        content = command_hash(CODEC.name_of(value), value, parse_expected_version(expected))
        self.sent.add((identity, content))

    @rule(slot=slots, execution_id=st.sampled_from(EXECUTIONS))
    def step_ends(self, slot: int, execution_id: str) -> None:
        worker = self.workers[slot]
        if worker.index.last_version("execution", execution_id):
            worker.lane.take_internal([completed(execution_id)])

    # ── a worker at work ─────────────────────────────────────────────────────────────────

    def fetch(self, slot: int, place: tuple[str, int], limit: int) -> None:
        if place in self.workers[slot].fetched:
            self.workers[slot].fetch(place, limit)

    def fetch_again(self, slot: int, place: tuple[str, int], back: int) -> None:
        worker = self.workers[slot]
        if place in worker.fetched:
            worker.fetched[place] = max(worker.fetched[place] - back, 0)

    def begin(self, slot: int) -> None:
        worker = self.workers[slot]
        if worker.fencing is None and worker.in_flight is None:
            transaction = worker.step()
            if transaction is not None:
                worker.in_flight = self.kafka.begin(worker.id, transaction)

    def send_offsets(self, slot: int) -> None:
        worker, opened = self.workers[slot], self.workers[slot].in_flight
        if opened is not None and opened.status == "open":
            self.kafka.send_offsets(opened, worker.generation, worker.id)

    def end(self, slot: int, fate: str) -> None:
        worker, kafka, opened = self.workers[slot], self.kafka, self.workers[slot].in_flight
        if opened is None:
            return
        if opened.status != "open":
            self._failed(worker, "_FENCED", fatal=True)
        elif fate == "no_offsets":
            kafka.finish(opened, commit=False)
            self._failed(worker, "_TIMED_OUT")
        elif not opened.offsets_sent and not kafka.send_offsets(
            opened, worker.generation, worker.id
        ):
            kafka.finish(opened, commit=False)
            self._failed(worker, "ILLEGAL_GENERATION")
        elif fate == "commit":
            kafka.finish(opened, commit=True)
            worker.succeed(opened)
        elif fate == "abort":
            kafka.finish(opened, commit=False)
            self._failed(worker, "NOT_ENOUGH_REPLICAS")
        else:
            kafka.finish(opened, commit=fate == "unknown_committed")
            self._failed(worker, "_TIMED_OUT")

    def _failed(self, worker: Worker, name: str, *, fatal: bool = False) -> None:
        match worker.fail(name, fatal=fatal):
            case Action.REOPEN:
                worker.start_fence(worker.generation, worker.places)
            case Action.REJOIN:
                worker.tailer.disown()
                worker.generation = -1

    @rule(slot=slots, fate=fates, read=st.booleans())
    def turn(self, slot: int, fate: str, read: bool) -> None:
        """What a worker does all day: fetch, judge, one transaction."""
        self.finish_fence(slot)
        self.workers[slot].fetch()
        self.begin(slot)
        self.end(slot, fate)
        if read:
            self.workers[slot].read()

    @rule(data=st.data(), slot=slots, piece=st.sampled_from(PIECES))
    def piece(self, data: st.DataObject, slot: int, piece: str) -> None:
        """A part of a turn by itself, so that anything may come between two parts."""
        place = data.draw(st.sampled_from(PLACES))
        match piece:
            case "fetch":
                self.fetch(slot, place, data.draw(st.integers(1, 4)))
            case "fetch_again":
                self.fetch_again(slot, place, data.draw(st.integers(1, 3)))
            case "begin":
                self.begin(slot)
            case "send_offsets":
                self.send_offsets(slot)
            case "end":
                self.end(slot, data.draw(fates))
            case "read":
                self.workers[slot].read(place, 3)
            case "read_outcomes":
                self.workers[slot].read((OUTCOMES, place[1]), 3)
            case "commit_answered":
                self.commit_answered(slot)
            case _:
                self.step_fence(slot)

    @rule(
        slot=slots,
        kind=st.sampled_from(["crash", "rebalance", "time-out"]),
        told=st.sets(slots, min_size=1),
    )
    def mishap(self, slot: int, kind: str, told: set[int]) -> None:
        match kind:
            case "crash":
                self.crash(slot)
            case "rebalance":
                self.rebalance(told, slot)
            case _:
                self.transaction_times_out()

    def commit_answered(self, slot: int) -> None:
        worker = self.workers[slot]
        for place in filter(worker.tailer.owns, PLACES):
            self.kafka.answered[place] = worker.index.position(*place)

    # ── what happens to workers ──────────────────────────────────────────────────────────

    def crash(self, slot: int) -> None:
        self.workers[slot] = Worker(self.kafka, slot)

    def rebalance(self, told: set[int], lowest: int) -> None:
        """Who is not told goes on as if nothing had happened: a zombie, until it is told."""
        for slot in told:
            self._drain(slot)
        generation = self.kafka.rebalance({self.workers[slot].id for slot in told})
        order = sorted(told, reverse=bool(lowest))
        for number, slot in enumerate(order):
            mine = [p for i, p in enumerate(PLACES) if i % len(order) == number]
            self.workers[slot].start_fence(generation, mine)

    def _drain(self, slot: int) -> None:
        """A live member ends its transaction before it gives its places up."""
        opened = self.workers[slot].in_flight
        if opened is not None:
            self.end(slot, "commit")

    def step_fence(self, slot: int) -> None:
        if self.workers[slot].fencing is not None:
            self.workers[slot].step_fence()

    def finish_fence(self, slot: int) -> None:
        worker = self.workers[slot]
        for _ in range(12):
            if worker.fencing is not None:
                worker.read()
                worker.step_fence()

    def transaction_times_out(self) -> None:
        for opened in self.kafka.open_transactions()[:1]:
            self.kafka.finish(opened, commit=False)

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.kafka.wait(seconds)

    # ── the promises ─────────────────────────────────────────────────────────────────────

    @invariant()
    def promises_hold(self) -> None:
        if self.kafka.changes != self.checked:
            history_is_whole(self.kafka)
            answers_hold(self.kafka)
            self.checked = self.kafka.changes

    def teardown(self) -> None:
        """In the end one worker is left, and nobody who sent something is without an answer."""
        self.workers = [Worker(self.kafka, 0), Worker(self.kafka, 1)]
        for opened in self.kafka.open_transactions():
            self.kafka.finish(opened, commit=False)
        self.workers[0].own().work()
        self.promises_hold()
        answered = {(answer.identity, answer.hash) for answer in given_answers(self.kafka)}
        assert self.sent <= answered


TestWritePath = WritePath.TestCase
TestWritePath.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
