"""`flexcore bench peers`: every store in turn, run k of each before run k + 1 of any.

for each number in flight ─► for each run ─► for each contestant: quiet machine ─► closed loop ─► events counted
"""

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers import environments, machine, peer_process
from benchmarks.peers.environments import NotAvailable
from benchmarks.peers.measured import Contestant, Failed, Measured, row
from domain.errors import Unavailable

if TYPE_CHECKING:
    from streams.connection import Connection

Tell = Callable[[str], None]
Kafka = Callable[[Path, int], "AbstractContextManager[Connection]"]
"""A broker and workers that keep what they have in a folder; raises `Unavailable` where they cannot start."""

ON_KAFKA = ("flexcore", "bare-loop")
NAMES = (*ON_KAFKA, *(peer.name for peer in peer_process.PEERS))
IN_FLIGHT = (1, 8, 32, 64, 256, 2_000)
WORK = (
    "load an aggregate of up to 9 events, decide, append one event of 256 bytes at the exact version; "
    "1,000 aggregates (as many as are in flight where that is more), a new one after 10 events"
)


def measure(
    kafka: Kafka,
    *,
    names: Collection[str],
    in_flight: Sequence[int],
    seconds: float,
    runs: int,
    workers: int,
    durable: bool,
    tell: Tell,
) -> dict[str, Any]:
    """The whole comparison as a document: results, contestants, those that could not run, the machine.

    `durable=False` takes fsync away from the peers, which is what one broker does.
    """
    environments.CACHE.mkdir(parents=True, exist_ok=True)
    with (
        # Beside the clone and not in the system's temporary folder, which may be memory.
        tempfile.TemporaryDirectory(prefix="data-", dir=environments.CACHE) as data,
        ExitStack() as running,
    ):
        folder = Path(data)
        folder.chmod(0o755)
        fsync_ms = machine.fsync_ms(folder)

        @cache
        def connection() -> "Connection":
            return running.enter_context(kafka(folder / "kafka", workers))

        contestants, missing = _start(_openers(names, connection, folder, durable), running, tell)
        results = list(_results(contestants, in_flight, seconds, runs, tell))
    return {
        "benchmark": "peers",
        "work": WORK,
        "machine": machine.description(),
        "fsync_of_4_kib_ms": fsync_ms,
        "seconds": seconds,
        "runs": runs,
        "workers": workers,
        "results": results,
        "contestants": [_described(one) for one in contestants],
        "not_run": missing,
    }


def _described(one: Contestant) -> dict[str, Any]:
    return {
        "peer": one.name,
        "client": one.client,
        "durability": one.durability,
        "versions": one.versions,
    }


Opener = Callable[[], AbstractContextManager[Contestant]]


def _openers(
    names: Collection[str], connection: "Callable[[], Connection]", folder: Path, durable: bool
) -> dict[str, Opener]:
    found: dict[str, Opener] = {
        "flexcore": lambda: _on_kafka("flexcore", connection),
        "bare-loop": lambda: _on_kafka("bare-loop", connection),
    }
    for peer in peer_process.PEERS:
        place = folder / peer.name

        def opened(
            peer: peer_process.Peer = peer, place: Path = place
        ) -> AbstractContextManager[Contestant]:
            return peer_process.started(peer, place, durable=durable)

        found[peer.name] = opened
    return {name: opener for name, opener in found.items() if name in names}


@contextmanager
def _on_kafka(name: str, connection: "Callable[[], Connection]") -> Iterator[Contestant]:
    from benchmarks.peers import kafka as on_kafka

    opened = on_kafka.flexcore if name == "flexcore" else on_kafka.bare_loop
    with opened(connection()) as contestant:
        yield contestant


def _start(
    openers: dict[str, Opener], running: ExitStack, tell: Tell
) -> tuple[list[Contestant], list[dict[str, str]]]:
    contestants: list[Contestant] = []
    missing: list[dict[str, str]] = []
    for name, opener in openers.items():
        tell(f"starting {name}")
        try:
            contestants.append(running.enter_context(opener()))
        except (NotAvailable, Unavailable, SystemExit) as error:
            tell(f"{name} cannot run: {error}")
            missing.append({"peer": name, "why": str(error)})
    return contestants, missing


def _results(
    contestants: Sequence[Contestant],
    in_flight: Sequence[int],
    seconds: float,
    runs: int,
    tell: Tell,
) -> Iterator[dict[str, Any]]:
    for number in in_flight:
        figures: dict[str, list[Measured | Failed]] = {one.name: [] for one in contestants}
        for k in range(runs):
            for one in contestants:
                busy = machine.settle()
                figure = one.run(number, seconds)
                figures[one.name].append(figure)
                tell(f"run {k + 1}, {number} in flight, {one.name}: {_said(figure)} ({busy:.0%})")
        yield from (row(name, number, each) for name, each in figures.items())


def _said(figure: Measured | Failed) -> str:
    if isinstance(figure, Failed):
        return f"failed, {figure.why}"
    return f"{figure.rate_per_s:,.0f}/s, p50 {figure.p50_ms:.2f} ms"
