"""The event store as the owning workers serve it over HTTP.

aggregate ─► partition ─► the worker group's commit metadata ─► owner's URL ─► its index
                              ▲                                                   │
                              └──────────── asked again: 503, no connection ◄─────┘
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx2
import msgpack
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from domain.errors import Unavailable
from streams import commit_metadata
from streams.connection import Connection
from streams.event_store import MAX_READ, Slice, no_such_aggregate
from streams.records import EventRecord
from streams.topics import Topics, partition_of

WITHIN_S = 5.0
"""How long an owner is looked for; a clean hand-over takes 0.5 s, one after a kill over 6 s."""
REQUEST_S = 2.0
_AGAIN_S = 0.1


class WorkerEventStore:
    """Strongly consistent: the answer comes from the owner's index alone. `close` after use."""

    def __init__(self, connection: Connection, topics: Topics, *, partitions: int) -> None:
        self._admin = AdminClient(connection.client())
        self._topics = topics
        self._partitions = partitions
        self._urls: dict[tuple[str, int], str] = {}
        # No proxy of the environment: owners are inside.
        self._http = httpx2.AsyncClient(timeout=REQUEST_S, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def read(
        self, context: str, aggregate_id: str, from_version: int = 1, limit: int = MAX_READ
    ) -> Slice:
        partition = partition_of(aggregate_id, self._partitions)
        path = f"/internal/streams/{quote(context, '')}/{quote(aggregate_id, '')}/events"
        parameters = {"from_version": from_version, "limit": limit}
        deadline = time.monotonic() + WITHIN_S
        while True:
            response = await self._asked(context, partition, path, parameters)
            if response is not None and response.status_code == 200:
                return _slice(context, aggregate_id, response.content)
            if response is not None and response.status_code == 404:
                raise no_such_aggregate(context, aggregate_id)
            self._urls.pop((context, partition), None)
            if time.monotonic() + _AGAIN_S > deadline:
                raise Unavailable(
                    "owner.unavailable",
                    f"no worker serves partition {partition} of {context} now; try again",
                    context=context,
                    partition=partition,
                )
            await asyncio.sleep(_AGAIN_S)

    async def _asked(
        self, context: str, partition: int, path: str, parameters: Mapping[str, int]
    ) -> httpx2.Response | None:
        """The owner's answer, `None` where there is no owner or no answer."""
        url = self._urls.get((context, partition)) or await self._owner(context, partition)
        if not url:
            return None
        try:
            response = await self._http.get(url + path, params=dict(parameters))
        except httpx2.TransportError:
            return None
        self._urls[context, partition] = url
        return response

    async def _owner(self, context: str, partition: int) -> str:
        """The URL that the last commit of the partition's owner names, empty where none does."""
        place = TopicPartition(self._topics.commands(context), partition)
        asked = ConsumerGroupTopicPartitions(self._topics.worker_group, [place])
        try:
            answers = self._admin.list_consumer_group_offsets([asked], request_timeout=REQUEST_S)
            found = await asyncio.wrap_future(answers[self._topics.worker_group])
        except KafkaException as error:
            if error.args[0].retriable():
                return ""
            raise Unavailable("broker.unavailable", f"Kafka is away: {error}") from error
        metadata = found.topic_partitions[0].metadata
        return commit_metadata.parse(metadata).url.rstrip("/")


def _slice(context: str, aggregate_id: str, body: bytes) -> Slice:
    answer: Mapping[str, Any] = msgpack.unpackb(body)
    events = tuple(
        EventRecord(context, aggregate_id, version, partition, offset, at_ms, value, headers)
        for version, partition, offset, at_ms, value, headers in answer["events"]
    )
    return Slice(answer["version"], events)
