"""`flexcore bench`: what the running stack does a second, measured as docs/performance.md says."""

from typing import Annotated

from cyclopts import App, Parameter

from gateway.cli import places
from gateway.cli.options import WHERE, Where
from gateway.cli.output import View, show, show_all, tell

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
