"""The event in a consumer's message; what is no event of ours is said and passed over."""

from typing import Any

import structlog

from streams.records import EventRecord, event_record

log = structlog.get_logger("flexcore.events")


def read_event(message: Any, context: str) -> EventRecord | None:
    """The event, `None` (and a warning) for a foreign record, which must stop no reader."""
    try:
        return event_record(
            context,
            message.partition(),
            message.offset(),
            message.timestamp()[1],
            message.key() or b"",
            message.value(),
            message.headers(),
        )
    except ValueError as error:
        log.warning(
            "foreign_record",
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
            what=str(error),
        )
        return None
