"""Who a worker calls for events: the handlers and webhooks that its settings name.

Most workers have none; what these need is imported where it is used, as it takes a tenth of a second.
"""

from collections.abc import Mapping
from typing import Any

from agents.handler_modules import check_names, handlers_in
from agents.handlers import Handler
from gateway.settings import Settings
from schemas.codec import Codec
from streams.records import EventRecord


def handlers_of(settings: Settings) -> list[Handler]:
    """All of them; imports modules and reads secrets. Raises Invalid (`handler.invalid`)."""
    wanted = settings.handlers
    found = handlers_in(wanted.modules)
    if wanted.webhooks_file is not None:
        from gateway.webhooks_file import read_webhooks

        found += read_webhooks(wanted.webhooks_file, wanted.webhook_hosts)
    check_names(found)
    return found


def shown(record: EventRecord, codec: Codec) -> Mapping[str, Any]:
    """An event as handlers get it: as the api shows it."""
    from gateway.json_shapes import event_json

    return event_json(record, codec)
