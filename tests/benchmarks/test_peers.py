"""The comparison with peers counts what it says it counts."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.peers import environments, machine
from benchmarks.peers.closed_loop import AGGREGATES, EVENT_BYTES, Aggregates, Filling, Turn
from benchmarks.peers.compare import measure
from benchmarks.peers.environments import NotAvailable
from benchmarks.peers.measured import Failed, Measured, row
from domain.errors import Unavailable
from streams.connection import Connection

LOCKS = sorted(environments.HERE.glob("*/requirements.lock"))


def test_a_row_has_the_medians_of_the_sound_runs_and_the_spread_of_their_rates() -> None:
    runs = [Measured(300.0, 3.0, 9.0), Measured(100.0, 1.0, 30.0), Measured(200.0, 2.0, 20.0)]
    assert row("umadb", 32, runs) == {
        "peer": "umadb",
        "in_flight": 32,
        "runs": 3,
        "failed": "",
        "rate_per_s": 200,
        "spread": [100, 300],
        "p50_ms": 2.0,
        "p99_ms": 20.0,
        "rates_per_s": [300, 100, 200],
    }


def test_failed_runs_count_for_nothing_and_say_why_once() -> None:
    runs: list[Measured | Failed] = [
        Failed("locked"),
        Measured(100.0, 1.0, 3.0),
        Failed("locked"),
        Failed("gone"),
    ]
    found = row("umadb", 8, runs)
    assert (found["runs"], found["rate_per_s"], found["failed"]) == (1, 100, "locked; gone")


def test_a_peer_without_a_sound_run_has_no_figure() -> None:
    assert row("umadb", 8, [Failed("gone")]) == {
        "peer": "umadb",
        "in_flight": 8,
        "runs": 0,
        "failed": "gone",
    }


def test_a_new_aggregate_begins_after_ten_events() -> None:
    aggregates = Aggregates()
    aggregates.grow(1)
    commands = []
    for _ in range(11):
        commands.append(aggregates.command(0, 0.0))
        aggregates.appended(commands[-1])
    assert [command.version for command in commands] == [*range(10), 0]
    assert len({command.aggregate_id for command in commands[:10]}) == 1
    assert commands[10].aggregate_id != commands[0].aggregate_id
    assert {len(command.payload) for command in commands} == {EVENT_BYTES}


@pytest.mark.parametrize("in_flight", [1, AGGREGATES, 2 * AGGREGATES])
def test_no_two_commands_in_flight_meet_at_one_aggregate(in_flight: int) -> None:
    turn = Turn(Aggregates(), in_flight, seconds=60.0)
    taken = [turn.take() for _ in range(in_flight)]
    assert len({command.aggregate_id for command in taken if command is not None}) == in_flight


def test_a_command_that_failed_ends_the_run_and_its_aggregate() -> None:
    aggregates = Aggregates()
    turn = Turn(aggregates, 1, seconds=60.0)
    command = turn.take()
    assert command is not None
    turn.failed(command, ValueError("locked"))
    assert turn.take() is None
    assert turn.error == "ValueError: locked"
    assert aggregates.command(command.slot, 0.0).aggregate_id != command.aggregate_id


def test_filling_leaves_aggregates_of_every_length() -> None:
    aggregates = Aggregates()
    filling = Filling(aggregates)
    while (command := filling.take()) is not None:
        filling.done(command)
    assert [aggregates.version(slot) for slot in range(20)] == [*range(10), *range(10)]
    assert filling.accepted == AGGREGATES * 9 // 2


def test_a_store_that_loses_an_event_gets_no_figure() -> None:
    script = (
        "from benchmarks.peers.serving import serve_threads\n"
        "events = []\n"
        "def command(task):\n"
        "    if len(events) != 5000: events.append(task)\n"
        "    else: events[0] = task\n"
        "serve_threads(command, lambda: len(events), workers=1, client='', versions={})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input='{"in_flight": 1, "seconds": 0.01}\n',
        cwd=environments.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[1])
    assert answer["error"].endswith("commands were accepted, 500 events are there")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_a_peers_packages_are_locked_with_hashes_and_without_a_host(lock: Path) -> None:
    text = lock.read_text("utf-8")
    assert "--hash=sha256:" in text
    assert "://" not in text


def test_fsync_is_measured_and_leaves_nothing_behind(tmp_path: Path) -> None:
    found = machine.fsync_ms(tmp_path)
    assert 0 < found["p50"] <= found["p99"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_sqlite_peer_runs_in_its_own_environment_and_what_is_missing_is_told() -> None:
    try:
        environments.ensure("eventsourcing")
    except NotAvailable as why:
        pytest.skip(str(why))
    found = measure(
        _no_broker,
        names=["flexcore", "eventsourcing-sqlite"],
        in_flight=[8],
        seconds=0.5,
        runs=1,
        workers=1,
        durable=True,
        tell=lambda _: None,
    )
    (result,) = found["results"]
    assert (result["peer"], result["runs"], result["failed"]) == ("eventsourcing-sqlite", 1, "")
    assert result["rate_per_s"] > 0
    assert found["contestants"][0]["versions"]["eventsourcing"]
    assert found["not_run"] == [{"peer": "flexcore", "why": "no room"}]


@contextmanager
def _no_broker(_: Path, __: int) -> Iterator[Connection]:
    raise Unavailable("stack.failed", "no room")
    yield
