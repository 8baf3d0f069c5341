"""A consumer that is not ours: aiokafka as it comes, read_committed; versions 1..n of every aggregate.

python foreign_reader.py HOST:PORT TOPIC…     prints {"events": …, "aggregates": …, "wrong": […]}
"""

import asyncio
import json
import sys
from collections import defaultdict

from aiokafka import AIOKafkaConsumer, TopicPartition


async def read(bootstrap: str, topics: list[str]) -> dict[str, object]:
    """What anybody sees who knows nothing but the keys, `<aggregate>#<version>`."""
    versions: dict[str, list[int]] = defaultdict(list)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        max_partition_fetch_bytes=1 << 22,
    )
    await consumer.start()
    try:
        places = [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in await _partitions(consumer, topic)
        ]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    aggregate, _, version = (record.key or b"").decode().rpartition("#")
                    versions[f"{place.topic} {aggregate}"].append(int(version))
    finally:
        await consumer.stop()
    wrong = [name for name, found in versions.items() if {*found} != {*range(1, max(found) + 1)}]
    return {"events": sum(map(len, versions.values())), "aggregates": len(versions), "wrong": wrong}


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    await consumer._client.add_topic(topic)
    return sorted(consumer.partitions_for_topic(topic) or ())


if __name__ == "__main__":
    print(json.dumps(asyncio.run(read(sys.argv[1], sys.argv[2:]))))
