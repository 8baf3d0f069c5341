"""FlexCore and the bare confluent loop as contestants, on a broker of the comparison's own.

flexcore   command topic ─► worker (index, dedupe, read-back) ─► outcome
bare loop  command topic ─► one loop, a transaction per batch  ─► outcome       (topics of its own)
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from benchmarks.bare_topics import bare_topics
from benchmarks.cluster import cluster
from benchmarks.event_count import EventCount
from benchmarks.load import Load, Run
from benchmarks.peers.measured import Failed, Measured
from benchmarks.peers.short_lived import ShortLived
from streams import topics_admin
from streams.connection import Connection
from streams.registry import load_registry
from streams.topics import Topics

_DURABILITY = "A: survives process death (one replica, no fsync before the answer)"
_CLIENT = "1 thread, one producer and one consumer"
PARTITIONS = 8


WARM_UP_S = 60.0
"""Of load before the first run: for so long a new Java process spends up to half its time on compiling
itself (measured), which a broker in service and stores compiled beforehand do not."""
WARM_UP_IN_FLIGHT = 256


@contextmanager
def started(folder: Path, workers: int) -> Iterator[Connection]:
    """A warm broker with its workers and nothing else, as the peers have no read models either.

    Raises `Unavailable` where the broker cannot start, `TimeoutError` for a worker.
    """
    with cluster(folder, workers=workers, partitions=PARTITIONS) as bed:
        for worker in bed.workers:
            worker.start()
        bed.await_owned()
        with flexcore(bed.connection) as contestant:
            contestant.run(WARM_UP_IN_FLIGHT, WARM_UP_S)
        yield bed.connection


@contextmanager
def flexcore(connection: Connection) -> Iterator["OnKafka"]:
    """The worker. Raises `SystemExit` where nobody answers its commands."""
    with _contestant("flexcore", connection, Topics()) as contestant:
        yield contestant


@contextmanager
def bare_loop(connection: Connection) -> Iterator["OnKafka"]:
    """The bare loop over new topics, which are deleted afterwards."""
    with bare_topics(connection) as topics, _contestant("bare-loop", connection, topics) as bare:
        yield bare


@contextmanager
def _contestant(name: str, connection: Connection, topics: Topics) -> Iterator["OnKafka"]:
    partitions = topics_admin.verify(connection, topics)
    codec = load_registry(connection, topics, None).codec()
    load = ShortLived(connection, topics, codec, partitions)
    try:
        events = EventCount(connection, topics, partitions, load.key_prefix)
        load.prepare()
        yield OnKafka(name, load, events)
    finally:
        load.close()


@dataclass(slots=True)
class OnKafka:
    """A contestant driven from this process, as `flexcore bench commands` does it."""

    name: str
    _load: Load = field(repr=False)
    _events: EventCount = field(repr=False)
    client: str = _CLIENT
    durability: str = _DURABILITY
    versions: dict[str, str] = field(
        default_factory=lambda: {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("confluent-kafka", "fastavro")},
        }
    )
    _unsound: str = ""

    def run(self, in_flight: int, seconds: float) -> Measured | Failed:
        """One run; after an unsound one nothing is known about the aggregates, so all later ones fail too."""
        if self._unsound:
            return Failed(self._unsound)
        run = self._load.run(in_flight, seconds)
        self._unsound = _judged(run, self._load.committed, self._events)
        if self._unsound:
            return Failed(self._unsound)
        return Measured(run.rate_per_s, run.percentile(0.5), run.percentile(0.99))


def _judged(run: Run, accepted: int, events: EventCount) -> str:
    """What is wrong with the run, else nothing."""
    if run.refused or run.lost:
        return f"{run.refused} commands were refused, {run.lost} had no answer"
    if (there := events.count()) != accepted:
        return f"{accepted} commands were accepted, {there} events are there"
    return ""
