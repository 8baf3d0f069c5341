"""`flexcore bench`: what the running stack does a second, measured as docs/performance.md says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from domain.errors import Invalid
from gateway.cli import places
from gateway.cli.options import WHERE, Where
from gateway.cli.output import View, show, show_all, tell

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from streams.connection import Connection

RESULT = View(
    name="benchmark",
    columns={
        "BENCHMARK": "benchmark",
        "IN FLIGHT": "settings.in_flight",
        "PER SECOND": "rate_per_s",
        "P50 MS": "p50_ms",
        "P99 MS": "p99_ms",
        "LOWEST AND HIGHEST": "spread",
    },
)

PEERS = View(
    name="benchmark",
    columns={},
    parts={
        "results": {
            "IN FLIGHT": "in_flight",
            "PEER": "peer",
            "PER SECOND": "rate_per_s",
            "LOWEST AND HIGHEST": "spread",
            "P50 MS": "p50_ms",
            "P99 MS": "p99_ms",
            "SOUND RUNS": "runs",
            "FAILED": "failed",
        },
        "contestants": {
            "PEER": "peer",
            "CLIENT": "client",
            "DURABILITY": "durability",
            "VERSIONS": "versions",
        },
        "not_run": {"PEER": "peer", "WHY": "why"},
    },
)

app = App(name="bench", help="Measure the running stack.", help_format="plaintext")


@app.command
def commands(
    *,
    in_flight: Annotated[list[int], Parameter(consume_multiple=True)] | None = None,
    seconds: float = 5.0,
    runs: int = 5,
    bare: bool = False,
    where: Where = WHERE,
) -> None:
    """Durable conditional commands, from the command topic to the outcome.

    Parameters
    ----------
    in_flight
        commands on their way at once; several numbers give a result each (default: 32)
    seconds
        how long each run is measured
    runs
        runs per number; the median is the result
    bare
        measure a bare confluent loop on the same broker beside, run by run in turn
    """
    from benchmarks.commands import measure

    connection, settings = places.kafka(where)
    tell(f"{runs} runs of {seconds:g} s each on {connection.bootstrap}; Ctrl-C ends it")
    results = list(
        measure(
            connection.bootstrap,
            in_flight=in_flight or [32],
            seconds=seconds,
            runs=runs,
            bare=bare,
            prefix=settings.kafka.prefix,
            security=dict(connection.security),
        )
    )
    if len(results) == 1 and where.output != "table":
        show(results[0], RESULT, where.output)
    else:
        show_all(results, RESULT, where.output)


@app.command
def peers(
    *,
    in_flight: Annotated[list[int], Parameter(consume_multiple=True)] | None = None,
    seconds: float = 4.0,
    runs: int = 5,
    only: Annotated[list[str], Parameter(consume_multiple=True)] | None = None,
    workers: int = 1,
    without_fsync: Annotated[bool, Parameter(negative=())] = False,
    where: Where = WHERE,
) -> None:
    """The same commands on FlexCore, a bare loop and other event stores, run by run in turn.

    Each peer gets an environment of its own (.cache/peers) and a new store, FlexCore and the bare loop a broker
    that is warmed up for a minute. What cannot run is told with the reason.

    Parameters
    ----------
    in_flight
        commands on their way at once (default: 1 8 32 64 256 2000)
    seconds
        how long each run is measured, after a warm-up of 1.5 s
    runs
        runs per number and peer; the median is the result
    only
        the contestants to measure, with blanks or commas between them (default: all)
    workers
        FlexCore's worker processes; a process of Python uses one core
    without_fsync
        let the peers, too, answer before the disk has it: the class of a single broker
    """
    from benchmarks.peers import compare

    names = [name for part in only or compare.NAMES for name in part.split(",")]
    if unknown := sorted(set(names) - set(compare.NAMES)):
        raise Invalid(
            "bench.unknown_peer",
            f"no contestant is called {', '.join(unknown)}; there are {', '.join(compare.NAMES)}",
        )

    def kafka(folder: Path, workers: int) -> "AbstractContextManager[Connection]":
        from benchmarks.peers.kafka import started

        tell("starting a broker and warming it up")
        return started(folder, workers)

    found = compare.measure(
        kafka,
        names=names,
        in_flight=in_flight or compare.IN_FLIGHT,
        seconds=seconds,
        runs=runs,
        workers=workers,
        durable=not without_fsync,
        tell=tell,
    )
    show(found, PEERS, where.output)
