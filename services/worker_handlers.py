"""Who a worker calls for events: the handlers and webhooks that its settings name."""

from agents.handler_modules import check_names, handlers_in
from agents.handlers import Handler
from gateway.settings import Settings
from gateway.webhooks_file import read_webhooks


def handlers_of(settings: Settings) -> list[Handler]:
    """All of them; imports modules and reads secrets. Raises Invalid (`handler.invalid`)."""
    wanted = settings.handlers
    found = handlers_in(wanted.modules)
    if wanted.webhooks_file is not None:
        found += read_webhooks(wanted.webhooks_file, wanted.webhook_hosts)
    check_names(found)
    return found
