"""Where the consumer group stands, and how to move it back to where the database is.

stored < committed   the database lost its tail, or is new: read again from `stored`
"""

from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from faust.types import TP

from projections.checkpoints import Place
from projections.projection import Projection

log = structlog.get_logger("flexcore.projections")


def stored_before(
    tp: TP, context: str, projections: Iterable[Projection], checkpoints: Mapping[Place, int]
) -> int:
    """The offset before which every projection of the context has stored everything."""
    return min(
        checkpoints.get((projection.name, context, tp.partition), -1) + 1
        for projection in projections
        if projection.context == context
    )


async def set_back(consumer: Any, stored: Mapping[TP, int]) -> None:
    """Let each partition be read from the smaller of the group's offset and `stored`."""
    thread = consumer._thread
    moves: dict[TP, int] = {}
    for tp, offset in stored.items():
        committed = await thread.call_thread(thread._ensure_consumer().committed, tp)
        if committed is not None and offset < committed:
            moves[tp] = offset
    if not moves:
        return
    log.warning("database_behind_group", partitions=len(moves))
    await consumer._commit(moves)
    # aiokafka seeks to what is committed, but not where that is 0.
    for tp, offset in moves.items():
        await consumer.seek(tp, offset)
