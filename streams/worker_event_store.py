"""The event store as the owning workers serve it over HTTP.

aggregate ─► partition ─► the worker group's commit metadata ─► owner's URL ─► its index
                              ▲                                                   │
                              └──────────── asked again: 503, no connection ◄─────┘
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx2
import msgpack
import structlog
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from domain.contexts import CONTEXTS
from domain.errors import Unavailable
from observability.logs import Outage
from streams import commit_metadata
from streams.all_events import AllEvents
from streams.connection import Connection
from streams.event_store import (
    MAX_READ,
    AtLeast,
    Place,
    Selection,
    Slice,
    no_such_aggregate,
    not_read_yet,
)
from streams.records import EventRecord
from streams.times import begun_ms
from streams.topics import Topics, partition_of

log = structlog.get_logger("flexcore.events")

WITHIN_S = 5.0
"""How long an owner is looked for; a clean hand-over takes 0.5 s, one after a kill over 6 s."""
REQUEST_S = 2.0
_AGAIN_S = 0.1


class WorkerEventStore:
    """Strongly consistent: the answer comes from the owner's index alone. `close` after use.

    At a position, from whoever follows the partition and has read so far: also while it changes hands.
    """

    def __init__(self, connection: Connection, topics: Topics, *, partitions: int) -> None:
        self._connection = connection
        self._admin = AdminClient(connection.client())
        self._topics = topics
        self._partitions = partitions
        self._known: dict[tuple[Place, bool], str] = {}
        self._away = Outage(log, "owners_unknown")
        # No proxy of the environment: owners are inside.
        self._http = httpx2.AsyncClient(timeout=REQUEST_S, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    def read_all(self, selection: Selection, *, live: bool = False) -> AllEvents:
        """Straight from Kafka; no owner is asked."""
        return AllEvents(
            self._connection, self._topics, selection, partitions=self._partitions, live=live
        )

    async def read(
        self,
        context: str,
        aggregate_id: str,
        from_version: int = 1,
        limit: int = MAX_READ,
        *,
        to_version: int | None = None,
        at: datetime | None = None,
        at_least: AtLeast | None = None,
    ) -> Slice:
        place = context, partition_of(aggregate_id, self._partitions)
        path = f"/internal/streams/{quote(context, '')}/{quote(aggregate_id, '')}/events"
        query = f"?from_version={from_version}&limit={limit}"
        if to_version is not None:
            query += f"&to_version={to_version}"
        if at is not None:
            query += f"&at_ms={begun_ms(at)}"
        stated = at_least is not None and place in at_least.position
        if at_least is not None and stated:
            query += f"&min_offset={at_least.position[place]}"
        deadline = time.monotonic() + (at_least.wait_s if at_least and stated else WITHIN_S)
        while True:
            response = await self._asked(place, path + query, stated)
            if response is not None and response.status_code == httpx2.codes.OK:
                return _slice(context, aggregate_id, response.content)
            if response is not None:
                raise no_such_aggregate(context, aggregate_id)
            if time.monotonic() + _AGAIN_S > deadline:
                if at_least is not None and stated:
                    raise not_read_yet(place, at_least)
                raise Unavailable(
                    "owner.unavailable",
                    f"no worker serves partition {place[1]} of {context} now; try again",
                    context=context,
                    partition=place[1],
                )
            await asyncio.sleep(_AGAIN_S)

    async def _asked(self, place: Place, path: str, stated: bool) -> httpx2.Response | None:
        """The owner's answer, `None` where nobody says that it is the owner.

        With a position `stated` in the path, the answer of anybody who has come to it.
        """
        known = self._known.get((place, stated))
        if known is not None:
            response = await self._get(known + path)
            if response is not None:
                return response
        for url in await self._candidates(place):
            response = await self._get(url + path)
            if response is not None:
                self._known[place, stated] = url
                return response
        self._known.pop((place, stated), None)
        return None

    async def _get(self, url: str) -> httpx2.Response | None:
        """An answer that counts: 200, or 404 without a body, as no stranger on a reused port says it."""
        try:
            response = await self._http.get(url)
        except httpx2.TransportError:
            return None
        found = response.status_code == httpx2.codes.OK
        absent = response.status_code == httpx2.codes.NOT_FOUND and not response.content
        return response if found or absent else None

    async def _candidates(self, place: Place) -> list[str]:
        """Who may own a partition: who committed there last, then whoever committed elsewhere.

        A partition on which nothing happened since it changed hands still names its last owner.
        """
        places = [
            TopicPartition(self._topics.commands(context), partition)
            for context in CONTEXTS
            for partition in range(self._partitions)
        ]
        asked = ConsumerGroupTopicPartitions(self._topics.worker_group, places)
        try:
            answers = self._admin.list_consumer_group_offsets([asked], request_timeout=REQUEST_S)
            found = await asyncio.wrap_future(answers[self._topics.worker_group])
        except KafkaException as error:
            # Seen after kill -9 of the broker: an AdminClient from before it waits for the group's
            # coordinator for ever, a new one is answered in 9 ms.
            self._admin = AdminClient(self._connection.client())
            self._away.goes_on(what=error.args[0].str())
            return []
        self._away.is_over()
        last = self._topics.commands(place[0]), place[1]
        urls = {
            (one.topic, one.partition): commit_metadata.parse(one.metadata).url.rstrip("/")
            for one in found.topic_partitions
        }
        return [url for url in dict.fromkeys([urls.pop(last, ""), *urls.values()]) if url]


def _slice(context: str, aggregate_id: str, body: bytes) -> Slice:
    answer: Mapping[str, Any] = msgpack.unpackb(body)
    events = tuple(
        EventRecord(context, aggregate_id, version, partition, offset, at_ms, value, headers)
        for version, partition, offset, at_ms, value, headers in answer["events"]
    )
    return Slice(answer["version"], events)
