"""How long commands wait when a worker dies, leaves or joins, and when the broker dies.

python -m benchmarks.takeover [--events 1000000] [--kills 20] [--leaves 10] [--brokers 5]

Two workers over `--events` events per partition; a command every 10 ms, in turn on every partition.
kill -9: from the kill to the first answer on the last of the dead worker's partitions.
leave, join: the longest time that any partition had no answer, less the time between two commands.
broker: from its open port to the first answer on the last partition.
"""

import argparse
import json
import signal
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from rich.console import Console
from rich.table import Table

from benchmarks.bulk import write_events
from benchmarks.cluster import Cluster, cluster
from domain.definition import Definition, OnError, Step
from domain.pipeline.pipeline import CreatePipeline
from schemas.codec import Codec
from streams.records import header_map
from streams.registry import load_registry
from streams.topics import Topics, partition_of

EVERY_S = 0.01
QUIET_S = 60.0
AFTER_S = 3.0
"""Watched after a change: longer than any goal, so that the pause it makes is seen to its end."""
_STEP = Step("read", "flexcore.csv_read", (), OnError.FAIL, None, None, None, '{"path": "x.csv"}')


class Pulse:
    """A command every 10 ms; when each partition was answered."""

    def __init__(self, bed: Cluster, codec: Codec) -> None:
        self._bed = bed
        self._codec = codec
        self._topics = Topics()
        self._sent: dict[bytes, tuple[int, float]] = {}
        self.answers: list[list[tuple[float, float]]] = [[] for _ in range(bed.partitions)]
        self._stopping = threading.Event()
        client = bed.connection.client
        self._producer = Producer(client(enable_idempotence=True, linger_ms=0))
        self._consumer = Consumer(
            client(group_id="pulse", isolation_level="read_committed", enable_auto_commit=False)
        )
        places = [TopicPartition(self._topics.outcomes, n, -1) for n in range(bed.partitions)]
        self._consumer.assign(places)
        self._threads = [threading.Thread(target=body) for body in (self._send, self._take)]

    def __enter__(self) -> "Pulse":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._consumer.close()

    def first_after(self, moment: float, partitions: set[int]) -> float:
        """When the last of these partitions first answered a command sent after `moment`."""
        return self._until(lambda: self._firsts(moment, partitions), "an answer of each partition")

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time without an answer of any partition, less what lies between commands."""
        longest = 0.0
        for answers in self.answers:
            inside = [since, *(at for _, at in answers if since < at < until), until]
            longest = max(longest, *(b - a for a, b in pairwise(inside)))
        return max(0.0, longest - EVERY_S * len(self.answers))

    def _firsts(self, moment: float, partitions: set[int]) -> float | None:
        firsts = [min((a for s, a in self.answers[p] if s > moment), default=0) for p in partitions]
        return max(firsts) if all(firsts) else None

    def _until(self, ask: Callable[[], float | None], what: str) -> float:
        deadline = time.perf_counter() + QUIET_S
        while (found := ask()) is None:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{what} did not come within {QUIET_S:g} s")
            time.sleep(0.05)
        return found

    def _send(self) -> None:
        names = [self._name(partition) for partition in range(self._bed.partitions)]
        number = 0
        while not self._stopping.wait(EVERY_S):
            partition = number % len(names)
            number += 1
            command_id = str(uuid.uuid4()).encode()
            name = f"{names[partition]}-{number}"
            while partition_of(name, len(names)) != partition:
                name += "x"
            value = self._codec.encode(CreatePipeline(name, "Pulse", "", Definition((_STEP,))))
            self._sent[command_id] = partition, time.perf_counter()
            self._producer.produce(
                self._topics.commands("pipeline"),
                value=value,
                key=name.encode(),
                partition=partition,
                headers=[("ce_id", command_id)],
            )
            self._producer.poll(0)

    def _name(self, partition: int) -> str:
        return f"pulse-{uuid.uuid4().hex[:8]}-{partition}"

    def _take(self) -> None:
        while not self._stopping.is_set():
            message: Any = self._consumer.poll(0.05)
            if message is None or message.error() is not None:
                continue
            found = self._sent.pop(header_map(message.headers()).get("ce_commandid", b""), None)
            if found is not None:
                partition, sent_at = found
                self.answers[partition].append((sent_at, time.perf_counter()))


def trials(bed: Cluster, pulse: Pulse, kills: int, leaves: int) -> Iterator[tuple[str, float]]:
    """(what, seconds), one kill or leave after the other, each followed by a join."""
    for number in range(max(kills, leaves)):
        victim = bed.workers[number % len(bed.workers)]
        if number < kills:
            partitions = {partition for _, partition in victim.owned()}
            began = time.perf_counter()
            victim.end(signal.SIGKILL)
            yield "kill -9", pulse.first_after(began, partitions) - began
            yield "join", _joined(bed, pulse, number)
        if number < leaves:
            began = time.perf_counter()
            victim.end(signal.SIGTERM)
            time.sleep(AFTER_S)
            yield "clean leave", pulse.longest_gap(began - 1, time.perf_counter())
            yield "join", _joined(bed, pulse, number)


def _joined(bed: Cluster, pulse: Pulse, number: int) -> float:
    bed.workers[number % len(bed.workers)].start()
    began = time.perf_counter()
    while not all(worker.owned() for worker in bed.workers):
        time.sleep(0.2)
    bed.await_owned()
    time.sleep(AFTER_S)
    return pulse.longest_gap(began, time.perf_counter())


def brokers(bed: Cluster, pulse: Pulse, count: int) -> Iterator[tuple[str, float]]:
    """Kill the broker and start it again."""
    everywhere = set(range(bed.partitions))
    for _ in range(count):
        opened = bed.restart_broker()
        yield "broker kill -9", pulse.first_after(opened, everywhere) - opened
        bed.await_owned()
        time.sleep(AFTER_S)


def main() -> None:
    """Run and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.takeover", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="per partition")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--leaves", type=int, default=10)
    parser.add_argument("--brokers", type=int, default=5)
    asked = parser.parse_args()
    found: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="flexcore-takeover-") as folder,
        cluster(Path(folder), workers=2, partitions=asked.partitions) as bed,
    ):
        codec = load_registry(bed.connection, Topics()).codec()
        write_events(bed.connection, codec, asked.partitions, asked.events)
        began = time.perf_counter()
        for worker in bed.workers:
            worker.start()
        bed.await_owned()
        print(f"workers ready after {time.perf_counter() - began:.1f} s", file=sys.stderr)
        with Pulse(bed, codec) as pulse:
            pulse.first_after(time.perf_counter(), set(range(asked.partitions)))
            workers = trials(bed, pulse, asked.kills, asked.leaves)
            for what, seconds in chain(workers, brokers(bed, pulse, asked.brokers)):
                print(f"{what}: {seconds:.2f} s", file=sys.stderr)
                found.setdefault(what, []).append(seconds)
    _show(found, vars(asked))


def _show(found: dict[str, list[float]], settings: dict[str, int]) -> None:
    table = Table("what", "trials", "median s", "p95 s", "longest s")
    result: dict[str, Any] = {"benchmark": "takeover", "settings": settings}
    for what, seconds in found.items():
        ordered = sorted(seconds)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        row = [statistics.median(ordered), p95, ordered[-1]]
        table.add_row(what, str(len(ordered)), *(f"{value:.2f}" for value in row))
        result[what] = {"trials": len(ordered), "median_s": row[0], "p95_s": p95, "max_s": row[2]}
    Console(stderr=True).print(table)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
