"""One partition of a handler's group: the reader rule, what waits to be called, and what is done.

event ─► dropped (version seen) · held (a predecessor is missing) · passed over (not asked for) · waits

What stands a little before the start is read again, for its versions alone. Of an aggregate that is not
among it, the first event is the base: nobody remembers what came before.
"""

from collections import OrderedDict, deque
from typing import Any, NamedTuple

from streams.order import Arrived, Order
from streams.records import EventRecord

MAX_KNOWN = 4_000
"""Aggregates whose last version is remembered: 1 MB. Copies come seconds after their events."""
LOOK_BACK = 1_000
"""Offsets before the start, 10 ms of reading: copies and forks stand close to what they repeat."""
MAX_WAITING = 50
MAX_WAITING_BYTES = 1024 * 1024
"""More are not fetched: what waits for a slow handler stays in Kafka."""
_ENDLESS = 2**63


class Waiting(NamedTuple):
    """An event to be called for, and the message it was read from."""

    record: EventRecord
    message: Any


class Place:
    """Used by one loop; `start` is the offset from which on nothing is done yet."""

    def __init__(self, start: int) -> None:
        self.read_to = self._start = start
        self.ending = False
        self._order = Order()
        self._known: OrderedDict[str, int] = OrderedDict()
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0

    def take(self, aggregate_id: str, version: int, offset: int, waiting: Waiting | None) -> int:
        """Take what was read next, `None` where it is not asked for; how many are held for it now."""
        if offset < self._start:
            self._remember(aggregate_id, max(version, self._known.get(aggregate_id, 0)))
            return 0
        self.read_to = offset + 1
        last = self._known.get(aggregate_id, version - 1)
        arrived = Arrived(aggregate_id, version, offset, waiting)
        # A gap is never given up: what is behind it was not handled, so it is not committed either.
        taken = self._order.take(arrived, last=last, end=_ENDLESS)
        for one in taken:
            if one.event is not None:
                self._waiting.append(one.event)
                self._bytes += len(one.event.record.value or b"")
        if taken:
            self._remember(aggregate_id, taken[-1].version)
        return 0 if taken else max(version - last - 1, 0)

    def _remember(self, aggregate_id: str, version: int) -> None:
        self._known[aggregate_id] = version
        self._known.move_to_end(aggregate_id)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    @property
    def next(self) -> Waiting | None:
        """What is called for now, until it is `done`."""
        return self._waiting[0] if self._waiting and not self.ending else None

    def done(self) -> None:
        """What was next is handled, or buried."""
        waiting = self._waiting.popleft()
        self._bytes -= len(waiting.record.value or b"")

    @property
    def full(self) -> bool:
        return len(self._waiting) >= MAX_WAITING or self._bytes >= MAX_WAITING_BYTES

    @property
    def has_room(self) -> bool:
        """Whether it is worth to fetch again; not before half is done, as it costs a request."""
        return len(self._waiting) <= MAX_WAITING // 2 and self._bytes <= MAX_WAITING_BYTES // 2

    @property
    def done_to(self) -> int:
        """The offset below which all is handled: what may be committed."""
        waiting = (one.record.offset for one in self._waiting)
        return self._order.safe_before(min(waiting, default=self.read_to))
