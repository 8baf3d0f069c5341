"""The load of `bench commands` over pipelines that end with their tenth event, as the peers' aggregates do."""

import time
import uuid

from benchmarks.load import AGGREGATES, WARM_UP_S, Load, Run
from benchmarks.peers.closed_loop import EVENTS_PER_AGGREGATE
from domain.definition import Definition, OnError, Step
from domain.pipeline.pipeline import CreatePipeline, RevisePipeline
from streams.topics import partition_of

# With it an event has about 256 bytes, headers not counted.
_DEFINITION = Definition(
    (Step("read", "flexcore.csv_read", (), OnError.FAIL, None, None, None, '{"path": "x.csv"}'),)
)


class ShortLived(Load):
    """Has as many pipelines as are in flight, and at least 1,000, so that no two commands meet at one."""

    _width = AGGREGATES

    def run(
        self,
        in_flight: int,
        seconds: float,
        *,
        warm_up_s: float = WARM_UP_S,
        at_least: int = 0,
    ) -> Run:
        """As `Load.run`."""
        self._width = max(AGGREGATES, in_flight)
        self._versions += [0] * (self._width - len(self._versions))
        return super().run(in_flight, seconds, warm_up_s=warm_up_s, at_least=at_least)

    def _send(self) -> None:
        number = self._number % self._width
        self._number += 1
        generation, version = divmod(self._versions[number], EVENTS_PER_AGGREGATE)
        self._versions[number] += 1
        aggregate_id = f"bench-{self._run_id}-{number}-{generation}"
        kind = RevisePipeline if version else CreatePipeline
        value = self._codec.encode(kind(aggregate_id, f"name {self._number}", "", _DEFINITION))
        command_id = str(uuid.uuid4()).encode()
        self._sent[command_id] = number, time.perf_counter()
        self._producer.produce(
            self._topics.commands("pipeline"),
            value=value,
            key=aggregate_id.encode(),
            partition=partition_of(aggregate_id, self._partitions),
            headers=[("ce_id", command_id), ("ce_expectedversion", str(version).encode())],
        )
