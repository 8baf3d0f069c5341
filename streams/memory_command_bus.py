"""A command bus that judges in this process, over a memory event store.

The judge is the lane's own; there is no log, so nothing is ever late or away.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from domain.contexts import CONTEXTS, Context
from domain.definition import Definition
from domain.pipeline.pipeline import Pipeline
from schemas.codec import Codec
from streams.answers import Answer
from streams.command_bus import CommandRequest, content_of, headers_of
from streams.judging import Judge
from streams.memory_event_store import PARTITIONS, MemoryEventStore, utc_now
from streams.positions import position_text
from streams.records import EventRecord, Identity, header_map
from streams.topics import partition_of
from streams.verdicts import CommandRecord, Decided, NewEvent, Rejected, Repeated


def no_problems(_: Definition) -> Sequence[str]:
    return ()


class MemoryView:
    """The judge's view: the store's states, and the answers given so far."""

    def __init__(self, store: MemoryEventStore) -> None:
        self._store = store
        self.answers: dict[Identity, Answer] = {}

    def answer(self, identity: Identity) -> Answer | None:
        return self.answers.get(identity)

    def state(self, context: Context, aggregate_id: str) -> tuple[int, Any]:
        return self._store.state(context, aggregate_id)

    def pipeline(self, pipeline_id: str) -> Pipeline | None:
        _, state = self._store.state(CONTEXTS["pipeline"], pipeline_id)
        return state if isinstance(state, Pipeline) else None


class MemoryCommandBus:
    """`now` is the lane's clock."""

    def __init__(
        self,
        store: MemoryEventStore,
        codec: Codec,
        *,
        now: Callable[[], datetime] = utc_now,
        expression_problems: Callable[[Definition], Sequence[str]] = no_problems,
    ) -> None:
        self._store = store
        self._codec = codec
        self._now = now
        self._view = MemoryView(store)
        self._judge = Judge(codec, PARTITIONS, lambda: 0.5, expression_problems)
        self._offsets = count()

    async def send(self, request: CommandRequest, timeout_s: float) -> Answer:
        """The answer; nothing here waits, so that any `timeout_s` will do."""
        assert timeout_s >= 0
        at = self._now()
        content = content_of(request, self._codec)
        record = CommandRecord(
            context=request.context,
            partition=partition_of(request.aggregate_id, PARTITIONS),
            offset=next(self._offsets),
            timestamp_ms=int(at.timestamp() * 1000),
            key=request.aggregate_id.encode(),
            value=content.value,
            headers=headers_of(request, content, at),
        )
        verdict = self._judge.judge(record, self._view, at, final=True)
        match verdict:
            case Decided():
                return self._take(verdict, record.timestamp_ms)
            case Repeated(answer):
                return answer
            case Rejected(answer, _) if answer is not None:
                if answer.remembered:
                    self._view.answers.setdefault(answer.identity, answer)
                return answer
            case _:
                raise AssertionError(f"a command of our own cannot be {verdict}")

    def _take(self, decided: Decided, timestamp_ms: int) -> Answer:
        records = [self._record(event, timestamp_ms) for event in decided.events]
        self._store.take(records)
        place = {(r.context, r.partition): r.offset for r in records[-1:]}
        answer = replace(decided.answer, position=position_text(place))
        self._view.answers[answer.identity] = answer
        return answer

    def _record(self, event: NewEvent, timestamp_ms: int) -> EventRecord:
        return EventRecord(
            context=event.context,
            aggregate_id=event.aggregate_id,
            version=event.version,
            partition=event.partition,
            offset=self._store.next_offset(),
            timestamp_ms=timestamp_ms,
            value=event.value,
            headers=header_map(event.headers),
        )
