"""StreamService: the events of one aggregate, as the log has them."""

from dataclasses import dataclass
from typing import Any

from domain.contexts import CONTEXTS
from domain.errors import Invalid, NotFound
from gateway.json_shapes import event_json
from gateway.services.asked import Caller
from schemas.codec import Codec
from streams.event_store import MAX_READ, EventStore


@dataclass(frozen=True, slots=True)
class Events:
    """Public shapes in the order of their versions; `version` is the aggregate's last one."""

    items: list[dict[str, Any]]
    version: int
    next_version: int | None


class StreamService:
    """Reads are strongly consistent: the owner of the aggregate answers."""

    def __init__(self, store: EventStore, codec: Codec) -> None:
        self._store = store
        self._codec = codec

    async def events(
        self,
        caller: Caller,
        context: str,
        local_id: str,
        *,
        from_version: int = 1,
        limit: int = MAX_READ,
    ) -> Events:
        """Raises NotFound, Invalid for numbers out of range, Unavailable."""
        if context not in CONTEXTS:
            known = ", ".join(CONTEXTS)
            raise NotFound(
                "aggregate.not_found", f"there is no context {context[:80]!r}; known: {known}"
            )
        if not (1 <= from_version < 2**62 and 1 <= limit <= MAX_READ):
            raise Invalid("query.invalid", f"from_version starts at 1, limit is 1 to {MAX_READ}")
        aggregate_id = caller.known_id(context, local_id)
        found = await self._store.read(context, aggregate_id, from_version, limit)
        items = [event_json(event, self._codec) for event in found.events]
        after = found.events[-1].version + 1 if found.events else None
        more = after is not None and after <= found.version
        return Events(items, found.version, after if more else None)
