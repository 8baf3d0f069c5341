"""The memory of a Faust table: rows as JSON bytes, recovered from batches of changelog records."""

from collections.abc import Callable, Iterable
from typing import Any

from faust.stores import STORES, memory
from faust.types import TP

from streams.faust_host import Batch
from streams.topics import partition_of

STORE_URL = "flexcore-rows://"
STORES.aliases["flexcore-rows"] = "projections.store:RowStore"

_VERSION = b'"version":'


def version_in(value: bytes) -> int:
    """The version in a table's value; it stands before anything an event could have said."""
    start = value.index(_VERSION) + len(_VERSION)
    return int(value[start : value.index(b",", start)])


class RowStore(memory.Store):
    """Keeps the newest version of a row, whatever order the changelog has it in.

    A projector that was stopped for a while may write an old row after its successor wrote a
    newer one; `stale` holds such keys until they are written again.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stale: set[bytes] = set()

    def apply_changelog_batch(
        self,
        batch: Iterable[Any],
        to_key: Callable[[Any], Any],  # noqa: ARG002  (Faust's signature)
        to_value: Callable[[Any], Any],  # noqa: ARG002  (Faust's signature)
    ) -> None:
        """Take over the records of a recovery; their events carry one `Batch` each."""
        for event in batch:
            fetched: Batch = event.message.value
            for record in fetched.records:
                self._apply(record.key, record.value)

    def _apply(self, key: bytes, value: bytes | None) -> None:
        held = self.data.get(key)
        if value is None:
            self.data.pop(key, None)
        elif held is None or version_in(held) <= version_in(value):
            self.data[key] = value
            self.stale.discard(key)
        else:
            self.stale.add(key)

    async def on_recovery_completed(
        self,
        active_tps: set[TP],
        standby_tps: set[TP],  # noqa: ARG002  (Faust's signature)
    ) -> None:
        """Forget the rows of partitions that are somebody else's now."""
        partitions = self.table.partitions or 0
        mine = {tp.partition for tp in active_tps}
        if len(mine) < partitions:
            for key in list(self.data):
                if partition_of(key.decode(), partitions) not in mine:
                    del self.data[key]
                    self.stale.discard(key)
