"""Many events in the log at once, as a lane would have written them, without one."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, islice

from confluent_kafka import Producer
from rich.progress import track

from domain.definition import Definition, OnError, Step
from domain.pipeline.pipeline import PipelineCreated, PipelineRevised
from schemas.codec import Codec
from streams.connection import Connection
from streams.new_events import Home, Source, new_events
from streams.topics import Topics, partition_of

PER_AGGREGATE = 10
AT = datetime(2026, 11, 1, tzinfo=UTC)
_STEP = Step("read", "flexcore.csv_read", (), OnError.FAIL, None, None, None, '{"path": "x.csv"}')


def write_events(connection: Connection, codec: Codec, partitions: int, per_partition: int) -> None:
    """`per_partition` events of pipelines in each partition, 10 of each aggregate."""
    producer = Producer(
        connection.client(
            enable_idempotence=True, linger_ms=20, compression_type="zstd", batch_size=500_000
        )
    )
    topic = Topics().events("pipeline")
    for partition in range(partitions):
        names = islice(_names(partition, partitions), -(-per_partition // PER_AGGREGATE))
        total = -(-per_partition // PER_AGGREGATE)
        what = f"writing events, partition {partition}"
        for name in track(names, what, total=total, transient=True):
            command = uuid.uuid4()
            source = Source(command, "", b"flexcore/bulk", str(command), str(command))
            for event in new_events(
                Home("pipeline", name, partition), 0, _events(name), source, AT, codec
            ):
                while True:
                    try:
                        producer.produce(
                            topic,
                            key=event.key,
                            value=event.value,
                            headers=list(event.headers),
                            partition=partition,
                        )
                        break
                    except BufferError:
                        producer.poll(0.1)
            producer.poll(0)
    producer.flush()


def _names(partition: int, partitions: int) -> Iterator[str]:
    names = (f"bulk-{number}" for number in count())
    return (name for name in names if partition_of(name, partitions) == partition)


def _events(name: str) -> list[PipelineCreated | PipelineRevised]:
    definition = Definition((_STEP,))
    description = "d" * 88
    created = PipelineCreated(name, 1, "0" * 64, name, "bulk", AT, description, definition)
    revised = [
        PipelineRevised(name, number, "0" * 64, name, "bulk", AT, description, definition)
        for number in range(2, PER_AGGREGATE + 1)
    ]
    return [created, *revised]
